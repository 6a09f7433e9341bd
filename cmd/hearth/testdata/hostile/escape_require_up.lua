-- expect: error ~"require: \"\\.\\./x\" is not a module's name: use parts of letters, digits,"
local O = hearth.object {}
function O.expose:attack()
  return require("../x")
end
return O
