-- expect: error ~"limit exceeded"
local O = hearth.object {}
function O.expose:attack()
  local t = {}
  while true do table.insert(t, -2 ^ 31, 1) end
end
return O
