-- call: alice attack "mine" -> result nil
-- call: bob attack "his" -> result nil
local O = hearth.object { instance = "call" }
local function cell()
  local v
  return { a = { b = function(new) local was = v v = new return was end } }
end
local c = cell()
function O.expose:attack(v) return tostring(c.a.b(v)) end
return O
