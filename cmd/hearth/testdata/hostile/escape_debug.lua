-- expect: result true
local O = hearth.object {}
function O.expose:attack()
  return debug==nil
end
return O
