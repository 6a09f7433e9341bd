-- expect: error ~"limit exceeded"
local O = hearth.object {}
function O.expose:attack()
  local s, t = ("x"):rep(200000), {}
  for i = 1, 250 do t[i] = s .. (i * 7919 % 250) end
  while true do table.sort(t, function(a, b) return a > b end) table.sort(t) end
end
return O
