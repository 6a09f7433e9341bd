-- expect: result true
local O = hearth.object {}
function O.expose:attack()
  return not tostring({}):find("0x[cC]000")
end
return O
