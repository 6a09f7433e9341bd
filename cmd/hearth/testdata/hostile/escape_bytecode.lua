-- expect: result true
local O = hearth.object {}
function O.expose:attack()
  return loadstring==nil or not pcall(function() return assert(loadstring("\27Lua"))() end)
end
return O
