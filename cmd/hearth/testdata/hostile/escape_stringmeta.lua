-- expect: result true
local O = hearth.object {}
function O.expose:attack()
  do local m=getmetatable("") return type(m)~="table" or not pcall(function() m.__index=nil end) end
end
return O
