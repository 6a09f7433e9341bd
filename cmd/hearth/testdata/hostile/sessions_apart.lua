-- call: alice attack "mine" -> result nil nil nil true
-- call: alice2 attack "mine" -> result nil nil nil true
-- call: bob attack "his" -> result nil nil nil true
-- call: alice attack "again" -> result mine mine mine false
-- hangup: alice
-- call: alice attack "anew" -> result nil nil nil true
local O = hearth.object { instance = "session" }
local shared = require "shared"
local held
function O.expose:attack(v)
  local was = ("%s %s %s %s"):format(tostring(self.v), tostring(held), tostring(global), tostring(shared.clean()))
  self.v, held, global = v, v, v
  shared.bump()
  return was
end
return O
