-- expect: error ~"more than 1000000 values|limit exceeded"
local O = hearth.object {}
function O.expose:attack()
  local k, t = hearth.tuple(1), {}
  for _ = 1, 50 do k = hearth.tuple(k, k) end
  t[k] = 1
  return t
end
return O
