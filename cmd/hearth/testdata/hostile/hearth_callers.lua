-- expect: error ~"limit exceeded"
local O = hearth.object {}
function O.expose:attack()
  local t = {}
  while true do t = { hearth.caller(), hearth.typeof(t), hearth.date("2026-01-31"), hearth.datetime("2026-01-31T12:00:00") } end
end
return O
