-- A small key-value store on disk.
local store = hearth.store

local Shelf = hearth.object {
  doc = "Keeps values under names. They survive a restart of the host.",
  instance = "single",
}

-- Stores value under key and replaces an existing value.
function Shelf.expose:put(key, value)
  store.put(key, value)
end

-- Returns the value under key; KeyError if the key does not exist.
function Shelf.expose:get(key)
  local value = store.get(key)
  if value == nil then
    error(hearth.exception("KeyError", key))
  end
  return value
end

-- Removes key and returns whether it existed.
function Shelf.expose:delete(key)
  local had = store.get(key) ~= nil
  store.delete(key)
  return had
end

-- Returns the keys, sorted.
function Shelf.expose:keys()
  local keys = {}
  for key in store.list() do
    keys[#keys + 1] = key
  end
  return hearth.list(keys)
end

return Shelf
