-- expect: error ~"limit exceeded: 64 MiB of memory"
-- The stacks of coroutines that wait are memory, too.
local O = hearth.object {}
function O.expose:attack()
  local t = {}
  local function deep(n) if n == 0 then coroutine.yield() else return 1 + deep(n - 1) end end
  for i = 1, 900 do
    t[i] = coroutine.create(deep)
    coroutine.resume(t[i], 9000)
  end
  return #t
end
return O
