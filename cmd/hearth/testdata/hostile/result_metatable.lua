-- expect: result [1 2]
local O = hearth.object {}
function O.expose:attack()
  local function spin() while true do end end
  return setmetatable({ 1, 2 }, { __index = spin, __len = spin, __pairs = spin, __ipairs = spin, __tostring = spin, __call = spin, __eq = spin })
end
return O
