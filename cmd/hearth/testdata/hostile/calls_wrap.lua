-- call: alice attack "mine" -> result first
-- call: bob attack "his" -> result first
local O = hearth.object { instance = "call" }
local held = { wrapped = coroutine.wrap(function()
  local v = "first"
  while true do v = coroutine.yield(v) end
end) }
function O.expose:attack(v)
  local was = held.wrapped()
  held.wrapped(v)
  return was
end
return O
