-- call: me attack -> result 0
-- call: me twin.attack -> result 0
local O = hearth.object { instance = "call" }
function O.expose:attack()
  local n = 0
  for _, name in ipairs { "", "smtp", "alice", "alice.key", "../alice.key", "/etc/passwd", "\0", ("x"):rep(1e6), "smtp\nobjects" } do
    if pcall(hearth.secret, name) then n = n + 1 end
  end
  return n
end
return O
