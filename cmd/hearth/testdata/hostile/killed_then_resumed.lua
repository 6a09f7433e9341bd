-- call: me attack -> error ~"limit exceeded"
-- call: me probe -> result nothing left
local O = hearth.object { instance = "single" }
function O.expose:attack()
  self.co = coroutine.create(function()
    pcall(function() while true do end end)
    while true do coroutine.yield("alive") end
  end)
  while true do coroutine.resume(self.co) end
end
function O.expose:probe() return self.co and select(2, coroutine.resume(self.co)) or "nothing left" end
return O
