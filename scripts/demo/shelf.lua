-- A small key-value store in memory.
local Shelf = hearth.object {
  doc = "Keeps values under names until the object is stopped.",
  instance = "single",
}

function Shelf:init()
  self.items = {}
end

-- Stores value under key and replaces an existing value.
function Shelf.expose:put(key, value)
  self.items[key] = value
end

-- Returns the value under key; KeyError if the key does not exist.
function Shelf.expose:get(key)
  local value = self.items[key]
  if value == nil then
    error(hearth.exception("KeyError", key))
  end
  return value
end

-- Removes key and returns whether it existed.
function Shelf.expose:delete(key)
  local had = self.items[key] ~= nil
  self.items[key] = nil
  return had
end

-- Returns the keys, sorted.
function Shelf.expose:keys()
  local keys = {}
  for key in pairs(self.items) do
    keys[#keys + 1] = key
  end
  table.sort(keys)
  return hearth.list(keys)
end

return Shelf
