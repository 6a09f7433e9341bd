-- expect: result true
local O = hearth.object {}
function O.expose:attack()
  return io==nil
end
return O
