-- expect: error ~"limit exceeded"
local O = hearth.object {}
function O.expose:attack()
  local t = {}
  for i = 1, 60000 do t[i] = "x=" .. i .. ".25 y='k" .. i .. "' " end
  local s = table.concat(t)
  while true do loadstring(s) end
end
return O
