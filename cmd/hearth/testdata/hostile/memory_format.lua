-- expect: error ~"invalid format \\(flags, width or precision of '%999999999d'\\)"
local O = hearth.object {}
function O.expose:attack()
  return #string.format("%999999999d",1)
end
return O
