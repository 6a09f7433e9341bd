-- The tests of counter.lua: hearth test demo.counter runs them. new() makes an instance.
local T = {}

function T.adds()
  local c = new()
  assert(c:add(5) == 5)
  assert(c:add(2) == 7)
  assert(c.total == 7)
end

function T.total_can_be_set()
  local c = new()
  c.total = 3
  assert(c:add(1) == 4)
end

return T
