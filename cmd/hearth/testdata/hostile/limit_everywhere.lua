-- expect: error ~"limit exceeded"
-- The error of a limit is caught nowhere.
local O = hearth.object {}
function O.expose:attack()
  local function forever() while true do end end
  local function again() return pcall(forever) end
  while true do
    xpcall(forever, forever)
    pcall(coroutine.wrap(function() pcall(forever) while true do pcall(again) end end))
    pcall(string.gsub, "x", "x", forever)
    pcall(table.sort, { 1, 2, 3 }, forever)
    pcall(load, forever)
  end
end
return O
