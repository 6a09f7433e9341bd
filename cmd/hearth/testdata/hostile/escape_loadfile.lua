-- expect: result true
local O = hearth.object {}
function O.expose:attack()
  return loadfile==nil
end
return O
