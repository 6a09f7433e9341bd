-- expect: result true
local O = hearth.object {}
function O.expose:attack()
  return channel==nil
end
return O
