-- expect: error ~"limit exceeded"
local O = hearth.object {}
function O.expose:attack()
  while true do
    local co = coroutine.create(function() local t = {} for i = 1, 100 do t[i] = {} end error(t) end)
    coroutine.resume(co)
    coroutine.resume(co)
    pcall(coroutine.wrap(function() error(co) end))
  end
end
return O
