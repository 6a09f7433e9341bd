-- expect: error ~"limit exceeded"
-- Each name is searched for in 80 functions of 150 variables.
local O = hearth.object {}
function O.expose:attack()
  local names = {}
  for i = 1, 150 do names[i] = "v" .. i end
  local level = "return function() local " .. table.concat(names, ",") .. " "
  local s = level:rep(80) .. ("x=v1 y=x "):rep(6e4) .. ("end "):rep(80)
  while true do loadstring(s) end
end
return O
