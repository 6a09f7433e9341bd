-- expect: result true
local O = hearth.object {}
function O.expose:attack()
  return getfenv==nil
end
return O
