-- expect: error ~"limit exceeded"
local O = hearth.object {}
function O.expose:attack()
  local a, b = 1.7e308 / 3, -2 / 3
  while true do local _ = a .. b .. a .. b .. a .. b .. a .. b .. a .. b .. a .. b .. a .. b .. a .. b .. a .. b end
end
return O
