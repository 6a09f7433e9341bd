-- call: alice attack "mine" -> result nil
-- call: bob attack "his" -> result nil
-- call: alice attack "again" -> result nil
local O = hearth.object { instance = "call" }
function O.expose:attack(v)
  local was = left or _G.left or rawget(_G, "left")
  left, _G[v] = v, v
  return tostring(was)
end
return O
