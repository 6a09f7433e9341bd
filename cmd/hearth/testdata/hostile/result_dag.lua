-- expect: error ~"."
local O = hearth.object {}
function O.expose:attack()
  local t = {}
  for _ = 1, 60 do t = { t, t } end
  return t
end
return O
