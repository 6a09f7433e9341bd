-- A small key-value store in memory.
local Shelf = hearth.object {
  doc = "Keeps values under names until the object is stopped.",
  instance = "single",
}

function Shelf:init()
  self.items = {}
end

-- Puts value under key, in place of what was there.
function Shelf.expose:put(key, value)
  self.items[key] = value
end

-- Returns the value under key; KeyError if there is none.
function Shelf.expose:get(key)
  local value = self.items[key]
  if value == nil then
    error(hearth.exception("KeyError", key))
  end
  return value
end

-- Removes key and tells whether it was there.
function Shelf.expose:delete(key)
  local had = self.items[key] ~= nil
  self.items[key] = nil
  return had
end

-- The keys in use, sorted.
function Shelf.expose:keys()
  local keys = {}
  for key in pairs(self.items) do
    keys[#keys + 1] = key
  end
  table.sort(keys)
  return hearth.list(keys)
end

return Shelf
