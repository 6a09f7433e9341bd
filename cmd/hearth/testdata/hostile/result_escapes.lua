-- expect: error ~"limit exceeded|more than"
local O = hearth.object {}
function O.expose:attack()
  local t, s = {}, ("\1"):rep(1e5)
  for i = 1, 80 do t[i] = s end
  return t
end
return O
