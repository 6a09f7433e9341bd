-- expect: error ~"result is a thread: only data can be sent"
local O = hearth.object {}
function O.expose:attack()
  return coroutine.create(function() end)
end
return O
