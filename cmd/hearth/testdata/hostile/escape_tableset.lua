-- expect: result true
local O = hearth.object {}
function O.expose:attack()
  return not pcall(function() table.insert=nil end)
end
return O
