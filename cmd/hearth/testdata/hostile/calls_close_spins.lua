-- call: alice attack -> result 1
-- call: bob probe -> result clean
-- call: bob probe -> result clean
local O = hearth.object { instance = "call" }
local bad = false
function O:close() while bad do end end
function O.expose:attack() bad = true return 1 end
function O.expose:probe() return bad and "left" or "clean" end
return O
