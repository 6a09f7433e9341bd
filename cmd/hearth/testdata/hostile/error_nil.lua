-- expect: error ~"nil"
local O = hearth.object {}
function O.expose:attack()
  do error(nil) end
end
return O
