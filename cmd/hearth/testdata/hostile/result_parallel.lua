-- beside 25: me attack -> either ~"xxx|limit exceeded"
-- call: me ping -> result true
local O = hearth.object { instance = "call" }
-- Many large results are written at once.
function O.expose:attack()
  local t = {}
  for i = 1, 78 do t[i] = ("x"):rep(1e5) .. i end
  return t
end
function O.expose:ping() return true end
return O
