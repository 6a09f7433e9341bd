-- expect: error ~"limit exceeded"
local O = hearth.object {}
function O.expose:attack()
  do while true do pcall(coroutine.wrap(function() while true do end end)) end end
end
return O
