-- expect: error ~"limit exceeded"
local O = hearth.object {}
function O.expose:attack()
  local function handler() return xpcall(error, handler) end
  while true do
    xpcall(error, handler)
    xpcall(coroutine.wrap(function() error(setmetatable({}, { __tostring = error })) end), handler)
    pcall(table.sort, { 3, 2, 1 }, error)
    pcall(string.gsub, "abc", ".", error)
  end
end
return O
