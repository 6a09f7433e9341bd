-- expect: result true
local O = hearth.object {}
function O.expose:attack()
  return dofile==nil
end
return O
