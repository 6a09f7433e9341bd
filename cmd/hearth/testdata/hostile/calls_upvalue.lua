-- call: alice attack "mine" -> result nil 0
-- call: bob attack "his" -> result nil 0
-- call: bob attack "his" -> result nil 0
local O = hearth.object { instance = "call" }
local held, list = nil, {}
function O.expose:attack(v)
  local was = tostring(held) .. " " .. #list
  held, list[1] = v, v
  return was
end
return O
