-- call: me start -> result 1
-- call: me attack -> error ~"limit exceeded"
-- call: me start -> result 1
local O = hearth.object { instance = "single" }
function O.expose:start()
  self.co = coroutine.wrap(function()
    coroutine.yield(1)
    while true do pcall(function() while true do end end) end
  end)
  return self.co()
end
function O.expose:attack() return self.co() end
return O
