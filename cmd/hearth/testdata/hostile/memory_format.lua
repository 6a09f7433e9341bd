-- expect: error ~"invalid format \\(width or precision too long\\)"
local O = hearth.object {}
function O.expose:attack()
  return #string.format("%999999999d",1)
end
return O
