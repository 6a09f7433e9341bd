-- expect: error ~"limit exceeded"
local O = hearth.object {}
function O.expose:attack()
  local names = {}
  for i = 1, 190 do names[i] = "v" .. i end
  local list = table.concat(names, ",")
  local s = ("do local %s = %s end "):format(list, list):rep(200)
  while true do loadstring(s) end
end
return O
