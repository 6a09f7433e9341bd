-- expect: result true
local O = hearth.object {}
function O.expose:attack()
  return _printregs==nil
end
return O
