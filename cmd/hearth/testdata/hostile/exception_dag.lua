-- expect: error ~"more than 1000000 values|limit exceeded"
local O = hearth.object {}
function O.expose:attack()
  local t = { 1 }
  for _ = 1, 60 do t = { t, t } end
  error(hearth.exception("ValueError", t))
end
return O
