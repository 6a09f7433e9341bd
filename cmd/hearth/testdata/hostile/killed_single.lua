-- call: me count -> result 1
-- call: me count -> result 2
-- call: me attack -> error ~"limit exceeded.*executed in part"
-- call: me count -> result 1
local O = hearth.object { instance = "single" }
local n = 0
function O.expose:count() n = n + 1 return n end
function O.expose:attack() while true do pcall(pcall, error) end end
return O
