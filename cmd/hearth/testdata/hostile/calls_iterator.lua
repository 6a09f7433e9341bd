-- call: alice attack -> result one
-- call: bob attack -> result one
local O = hearth.object { instance = "call" }
local words = ("one two three"):gmatch("%a+")
function O.expose:attack() return words() end
return O
