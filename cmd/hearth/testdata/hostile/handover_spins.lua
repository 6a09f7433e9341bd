-- call: me count -> result 1
-- reload:
-- call: me count -> result 1
-- call: me attack -> error ~"limit exceeded"
-- call: me count -> result 1
local O = hearth.object { instance = "single" }
function O:init(n) self.n = n or 0 end
function O:handover() while true do pcall(error) end end
function O.expose:count() self.n = self.n + 1 return self.n end
function O.expose:attack() while true do end end
return O
