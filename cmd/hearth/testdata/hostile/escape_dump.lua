-- expect: result true
local O = hearth.object {}
function O.expose:attack()
  return string.dump==nil
end
return O
