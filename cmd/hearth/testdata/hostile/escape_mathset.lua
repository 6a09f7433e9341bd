-- expect: result true
local O = hearth.object {}
function O.expose:attack()
  return not pcall(function() math.floor=nil end)
end
return O
