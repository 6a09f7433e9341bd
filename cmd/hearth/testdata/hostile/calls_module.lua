-- call: alice attack -> result true
-- call: bob attack -> result true
-- call: bob twin.attack -> result true
local O = hearth.object { instance = "call" }
local shared = require "shared"
function O.expose:attack()
  local was = shared.clean()
  shared.bump()
  shared.list[1], shared.extra = "x", "y"
  getmetatable(shared).__index = { inherited = "poisoned" }
  shared.clean = function() return false end
  return was
end
return O
