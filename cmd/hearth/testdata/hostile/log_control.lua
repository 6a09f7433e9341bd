-- expect: result true
local O = hearth.object {}
function O.expose:attack()
  do hearth.log.info("a\nb\27[2J\0") return true end
end
return O
