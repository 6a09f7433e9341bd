-- call: alice attack "mine" -> result first
-- call: bob attack "his" -> result first
local O = hearth.object { instance = "call" }
local co = coroutine.create(function()
  local v = "first"
  while true do v = coroutine.yield(v) end
end)
function O.expose:attack(v)
  local _, was = coroutine.resume(co)
  coroutine.resume(co, v)
  return was
end
return O
