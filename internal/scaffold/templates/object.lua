-- {{.ID}}: a counter as a first version. Clients can use the functions under expose, oneway, get and set only.
--
-- instance is the number of instances:
--   "single"   one for all callers, one call at a time
--   "session"  one for each connection
--   "call"     a new one for each call, in parallel
local Counter = hearth.object { doc = "Counts.", instance = "single" }

-- The host calls init when an instance begins; clients cannot.
function Counter:init()
  self.n = 0
end

-- Adds k, 1 if it is left out, and returns the total.
---@param k? integer
---@return integer total
function Counter.expose:add(k)
  self.n = self.n + (k or 1)
  return self.n
end

-- Returns the numbers up to the total, one by one.
function Counter.expose:up()
  local i = 0
  return hearth.stream(function()
    i = i + 1
    if i <= self.n then
      return i
    end
  end)
end

-- Forgets the count. Clients do not wait for an answer.
function Counter.oneway:reset()
  self.n = 0
end

-- The total: read it, or write it.
---@return integer
function Counter.get:total()
  return self.n
end

function Counter.set:total(v)
  self.n = v
end

return Counter
