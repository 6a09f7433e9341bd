-- expect: result true
local O = hearth.object {}
function O.expose:attack()
  return not tostring(print):find("0x[cC]0")
end
return O
