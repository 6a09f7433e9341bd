-- expect: error ~"nil"
local O = hearth.object {}
function O.expose:attack()
  do error() end
end
return O
