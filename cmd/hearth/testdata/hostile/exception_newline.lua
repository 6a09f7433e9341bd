-- expect: error ~"A"
local O = hearth.object {}
function O.expose:attack()
  do error(hearth.exception("A\nB","x")) end
end
return O
