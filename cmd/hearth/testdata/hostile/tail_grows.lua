-- expect: error ~"limit exceeded"
local O = hearth.object {}
function O.expose:attack()
  local function go(...) return go(1, ...) end
  while true do pcall(go) end
end
return O
