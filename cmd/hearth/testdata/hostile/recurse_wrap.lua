-- expect: error ~"stack overflow: more than 32 coroutines inside each other"
local O = hearth.object {}
function O.expose:attack()
  do local function f() coroutine.wrap(f)() end f() end
end
return O
