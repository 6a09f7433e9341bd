-- expect: error ~"limit exceeded"
local O = hearth.object {}
function O.expose:attack()
  local t = {}
  while true do table.insert(t, 1, 0) end
end
return O
