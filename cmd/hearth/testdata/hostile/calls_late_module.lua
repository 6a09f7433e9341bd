-- call: alice attack -> result true
-- call: bob attack -> result true
local O = hearth.object { instance = "call" }
function O.expose:attack()
  local shared = require "shared"
  local was = shared.clean()
  shared.bump()
  return was
end
return O
