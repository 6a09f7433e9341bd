-- call: me attack -> error ~"too many coroutines|limit exceeded"
-- call: me attack -> error ~"too many coroutines|limit exceeded"
-- call: me probe -> result 1
-- call: me twin.probe -> result 1
local O = hearth.object { instance = "call" }
function O.expose:attack()
  local all = {}
  for i = 1, 1e6 do
    all[i] = coroutine.create(function() coroutine.yield(all) end)
    coroutine.resume(all[i])
  end
end
function O.expose:probe() return select(2, coroutine.resume(coroutine.create(function() return 1 end))) end
return O
