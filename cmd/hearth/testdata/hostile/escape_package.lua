-- expect: result true
local O = hearth.object {}
function O.expose:attack()
  return package==nil
end
return O
