-- expect: error ~"limit exceeded"
local O = hearth.object {}
function O.expose:attack()
  local t = {}
  while true do t[tostring({})] = tostring(print) .. tostring(1 / 3) t = {} end
end
return O
