-- call: alice attack -> result hearth.caller: no call is running
-- call: bob attack -> result hearth.caller: no call is running
-- reload:
-- call: bob attack -> result hearth.caller: no call is running
local O = hearth.object { instance = "single" }
local function ask() return select(2, pcall(hearth.caller)):match("hearth.*") end
function O:init(was) self.said = was or ask() end
function O:handover() return ask() end
function O.expose:attack() return self.said end
return O
