-- call: alice attack -> result 1
-- call: alice2 attack -> result 1
-- call: bob attack -> result 1
-- hangup: alice
-- hangup: alice2
-- call: bob attack -> result 2
-- call: alice attack -> result 1
local O = hearth.object { instance = "session" }
local n = 0
function O:close() while true do pcall(error) end end
function O.expose:attack() n = n + 1 return n end
return O
