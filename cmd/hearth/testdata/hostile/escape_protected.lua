-- expect: error ~"cannot change a protected metatable"
local O = hearth.object {}
function O.expose:attack()
  do setmetatable(setmetatable({},{__metatable=1}),{}) end
end
return O
