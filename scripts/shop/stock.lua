-- What the shop has. One instance: calls come one at a time, so nothing is sold twice.
local Stock = hearth.object {
  doc = "Counts items.",
  instance = "single",
}

function Stock:init()
  self.items = { apple = 10, pear = 3 }
end

-- Adds n of an item and returns how many there are.
function Stock.expose:add(item, n)
  self.items[item] = (self.items[item] or 0) + n
  return self.items[item]
end

-- Takes n of an item away; ValueError if there are not so many.
function Stock.expose:take(item, n)
  local have = self.items[item] or 0
  if have < n then
    error(hearth.exception("ValueError", ("%d of %s wanted, %d there"):format(n, tostring(item), have)))
  end
  self.items[item] = have - n
  return have - n
end

-- How many there are of an item.
function Stock.expose:count(item)
  return self.items[item] or 0
end

return Stock
