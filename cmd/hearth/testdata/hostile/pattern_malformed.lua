-- expect: error ~"malformed pattern \\(missing '\\]'\\)"
local O = hearth.object {}
function O.expose:attack()
  return ("x"):find("[a")
end
return O
