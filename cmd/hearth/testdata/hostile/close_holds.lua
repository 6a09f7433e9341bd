-- call: alice1 attack -> result true
-- call: alice2 attack -> result true
-- call: alice3 attack -> result true
-- hangup: alice1
-- hangup: alice2
-- hangup: alice3
-- call: bob attack -> result true
local O = hearth.object { instance = "session" }
-- close holds as much as it may, and spins.
function O:close()
  local t = {}
  pcall(function() for i = 1, 1e3 do t[i] = ("x"):rep(1e6) .. i end end)
  while true do pcall(error, t) end
end
function O.expose:attack() return true end
return O
