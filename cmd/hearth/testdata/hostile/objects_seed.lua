-- call: me seed -> result true
-- call: me twin.probe -> result false
-- call: me other.probe -> result false
local O = hearth.object { instance = "single" }
function O.expose:seed() math.randomseed(7) return true end
function O.expose:probe()
  local x = math.random(2 ^ 30)
  math.randomseed(7)
  return x == math.random(2 ^ 30)
end
return O
