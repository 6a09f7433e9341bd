-- expect: error ~"too many coroutines \\(at most 1000\\)"
local O = hearth.object {}
function O.expose:attack()
  do local t={} while true do t[#t+1]=coroutine.create(function() coroutine.yield() end) coroutine.resume(t[#t]) end end
end
return O
