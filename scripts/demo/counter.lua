-- One counter that all callers share: the state of a single object.
local Counter = hearth.object {
  doc = "Counts. There is one counter, shared by all callers.",
  instance = "single",
}

function Counter:init()
  self.n = 0
end

-- Adds k (1 if not given) and returns the new total.
function Counter.expose:add(k)
  self.n = self.n + (k or 1)
  return self.n
end

-- Sets the total to zero. Callers get no reply.
function Counter.oneway:reset()
  self.n = 0
end

-- The total so far.
function Counter.get:total()
  return self.n
end

-- Sets the total; it must be a number.
function Counter.set:total(v)
  if type(v) ~= "number" then
    error(hearth.exception("TypeError", "total must be a number"))
  end
  self.n = v
end

return Counter
