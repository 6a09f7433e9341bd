-- The stock of the shop. It has one instance, and calls run one at a time, so no item is sold twice.
local Stock = hearth.object {
  doc = "Counts items.",
  instance = "single",
}

function Stock:init()
  self.items = { apple = 10, pear = 3 }
end

-- Adds n of an item and returns the new count.
function Stock.expose:add(item, n)
  self.items[item] = (self.items[item] or 0) + n
  return self.items[item]
end

-- Removes n of an item; ValueError if the count is lower.
function Stock.expose:take(item, n)
  local have = self.items[item] or 0
  if have < n then
    error(hearth.exception("ValueError", ("not enough %s: %d requested, %d in stock"):format(tostring(item), n, have)))
  end
  self.items[item] = have - n
  return have - n
end

-- Returns the count of an item.
function Stock.expose:count(item)
  return self.items[item] or 0
end

return Stock
