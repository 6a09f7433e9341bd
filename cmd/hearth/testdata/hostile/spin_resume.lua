-- expect: error ~"limit exceeded"
local O = hearth.object {}
function O.expose:attack()
  do local c=coroutine.create(function() while true do coroutine.yield() end end) while true do coroutine.resume(c) end end
end
return O
