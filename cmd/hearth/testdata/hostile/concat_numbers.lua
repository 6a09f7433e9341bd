-- expect: error ~"limit exceeded"
local O = hearth.object {}
function O.expose:attack()
  local t = {}
  for i = 1, 1e5 do t[i] = i + 0.123456789 end
  while true do table.concat(t, ",") end
end
return O
