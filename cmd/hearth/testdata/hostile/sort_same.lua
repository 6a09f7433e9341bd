-- expect: error ~"limit exceeded"
local O = hearth.object {}
function O.expose:attack()
  local a, b, t = ("x"):rep(2 ^ 20), ("x"):rep(2 ^ 20), {}
  for i = 1, 20000 do t[i] = i % 2 == 0 and a or b end
  while true do table.sort(t) end
end
return O
