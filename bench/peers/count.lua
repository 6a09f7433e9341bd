-- A durable counter for each key.
local Count = hearth.object { doc = "Counters for the comparison.", instance = "keyed" }

-- Adds one and returns the sum.
function Count.expose:count() return hearth.store.increment("n", 1) end

return Count
