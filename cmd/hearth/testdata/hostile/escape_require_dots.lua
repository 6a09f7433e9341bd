-- expect: error ~"require: \"\\.\\.other\\.secret\" is not a module's name: use parts of letter"
local O = hearth.object {}
function O.expose:attack()
  return require("..other.secret")
end
return O
