-- call: me attack -> result true
-- call: me twin.probe -> result true
-- call: me other.probe -> result true
-- call: me twin.attack -> result true
-- call: me probe -> result false
local O = hearth.object { instance = "single" }
local shared = require "shared"
function O.expose:attack()
  local was = shared.clean()
  for i = 1, 100 do shared.list[i] = shared.bump end
  shared.extra = self
  setmetatable(shared, { __index = function() return "poisoned" end })
  return was
end
function O.expose:probe() return shared.clean() end
return O
