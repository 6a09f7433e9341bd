-- expect: result true
local O = hearth.object {}
function O.expose:attack()
  return rawset==nil or not pcall(rawset,string,"rep",1)
end
return O
