-- expect: result true
local O = hearth.object {}
function O.expose:attack()
  return module==nil
end
return O
