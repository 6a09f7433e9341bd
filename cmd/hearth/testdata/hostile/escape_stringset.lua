-- expect: result true
local O = hearth.object {}
function O.expose:attack()
  return not pcall(function() string.rep=nil end)
end
return O
