-- expect: result +Inf
local O = hearth.object {}
function O.expose:attack()
  return math.huge
end
return O
