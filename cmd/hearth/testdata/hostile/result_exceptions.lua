-- expect: error ~"more than"
local O = hearth.object {}
function O.expose:attack()
  local e, t = hearth.exception("ValueError", ("x"):rep(100)), {}
  for i = 1, 900000 do t[i] = e end
  return t
end
return O
