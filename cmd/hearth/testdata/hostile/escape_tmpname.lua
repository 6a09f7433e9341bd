-- expect: result true
local O = hearth.object {}
function O.expose:attack()
  return os==nil or os.tmpname==nil
end
return O
