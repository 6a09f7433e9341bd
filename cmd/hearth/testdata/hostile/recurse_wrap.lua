-- expect: error ~"C stack overflow"
local O = hearth.object {}
function O.expose:attack()
  do local function f() coroutine.wrap(f)() end f() end
end
return O
