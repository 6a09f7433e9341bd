-- expect: error ~"limit exceeded"
local O = hearth.object {}
function O.expose:attack()
  local t = {}
  for step = 0, 60 do
    t = {}
    for i = 1, 30000 do t[i * 2 ^ step + 2 ^ (step - 1)] = i t[-i * 2 ^ -step] = i end
  end
  while true do for i = 1, 30000 do t[i * 2 ^ 60 + 2 ^ 59] = i end end
end
return O
