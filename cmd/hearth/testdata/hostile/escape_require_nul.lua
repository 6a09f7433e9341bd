-- expect: error ~"require: \"x\\\\x00y\" is not a module's name: use parts of letters, digit"
local O = hearth.object {}
function O.expose:attack()
  return require("x\0y")
end
return O
