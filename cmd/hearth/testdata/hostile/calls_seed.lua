-- call: alice attack -> result true
-- call: bob probe -> result false
local O = hearth.object { instance = "call" }
function O.expose:attack() math.randomseed(1) return true end
function O.expose:probe()
  local x = math.random(2 ^ 30)
  math.randomseed(1)
  return x == math.random(2 ^ 30)
end
return O
