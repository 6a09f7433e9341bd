-- expect: result true
local O = hearth.object {}
function O.expose:attack()
  return setfenv==nil
end
return O
