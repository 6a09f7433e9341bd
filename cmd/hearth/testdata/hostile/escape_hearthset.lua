-- expect: result true
local O = hearth.object {}
function O.expose:attack()
  return not pcall(function() hearth.log=nil end)
end
return O
