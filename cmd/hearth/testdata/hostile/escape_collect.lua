-- expect: result true
local O = hearth.object {}
function O.expose:attack()
  return collectgarbage==nil
end
return O
