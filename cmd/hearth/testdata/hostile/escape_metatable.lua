-- expect: result true
local O = hearth.object {}
function O.expose:attack()
  return not pcall(setmetatable,string,{})
end
return O
