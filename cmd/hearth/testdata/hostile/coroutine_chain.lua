-- expect: error ~"limit exceeded"
local O = hearth.object {}
function O.expose:attack()
  local co
  for i = 1, 500 do
    local inner = co
    co = coroutine.create(function()
      while true do if inner then coroutine.resume(inner) end coroutine.yield() end
    end)
  end
  while true do coroutine.resume(co) end
end
return O
