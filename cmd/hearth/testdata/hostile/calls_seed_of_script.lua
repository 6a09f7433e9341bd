-- call: alice attack -> result true
-- call: bob attack -> result true
-- call: alice attack -> result true
local O = hearth.object { instance = "call" }
math.randomseed(42)
-- What the script seeded is what each call begins with, however many numbers others took.
function O.expose:attack()
  local x = math.random(2 ^ 30)
  math.randomseed(42)
  return x == math.random(2 ^ 30)
end
return O
