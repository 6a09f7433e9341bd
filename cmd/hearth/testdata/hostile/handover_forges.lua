-- call: me attack -> result true
-- reload:
-- call: me probe -> result true
local O = hearth.object { instance = "single" }
-- What could not be read as an argument is not handed over; the next instance begins afresh.
function O:init(state) self.state = state end
function O:handover()
  return { __class__ = "builtins.SystemExit", __index = "x", __metatable = "x", _G = "x", ["\0"] = "\27[2J", args = { 1 } }
end
function O.expose:attack() return self.state == nil end
function O.expose:probe() return self.state == nil end
return O
