-- expect: error ~"require: \"/etc/passwd\" is not a module's name: use parts of letters, "
local O = hearth.object {}
function O.expose:attack()
  return require("/etc/passwd")
end
return O
