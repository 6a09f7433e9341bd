-- call: alice attack -> error ~"limit exceeded"
-- call: bob attack -> error ~"limit exceeded"
-- call: me other.attack -> error ~"limit exceeded"
local O = hearth.object { instance = "single" }
function O:init() while true do pcall(coroutine.wrap(function() while true do end end)) end end
function O.expose:attack() return "reached" end
return O
