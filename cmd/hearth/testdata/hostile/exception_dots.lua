-- expect: error ~"os\\.system: x"
local O = hearth.object {}
function O.expose:attack()
  do error(hearth.exception("os.system","x")) end
end
return O
