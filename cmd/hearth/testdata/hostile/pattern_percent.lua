-- expect: error ~"malformed pattern \\(ends with '%'\\)"
local O = hearth.object {}
function O.expose:attack()
  return ("x"):find("%")
end
return O
