-- The object of all peers: a sum and an echo.
local Work = hearth.object { doc = "The work of the comparison.", instance = "call" }

-- Returns a + b.
function Work.expose:add(a, b) return a + b end

-- Returns v.
function Work.expose:echo(v) return v end

return Work
