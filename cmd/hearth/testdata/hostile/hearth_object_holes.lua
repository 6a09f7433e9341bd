-- expect: error ~"limit exceeded"
local O = hearth.object {}
function O.expose:attack()
  local t = {}
  for i = 1, 2e6 do t[i] = 1 end
  for i = 1, 2e6 do t[i] = nil end
  while true do pcall(hearth.object, t) end
end
return O
