-- call: alice attack -> error ~"alice's password"
-- call: bob probe -> error ~"^[^:]*: nothing$"
-- call: bob missing -> error ~"^[^p]*$"
local O = hearth.object { instance = "single" }
function O.expose:attack() error("alice's password") end
function O.expose:probe() error("nothing", 0) end
return O
