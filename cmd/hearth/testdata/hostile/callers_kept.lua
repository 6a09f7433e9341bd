-- call: alice keep -> result alice
-- call: bob who -> result bob bob bob
-- call: alice who -> result alice alice alice
local O = hearth.object { instance = "single" }
function O.expose:keep()
  self.f = function() return hearth.caller().principal end
  self.co = coroutine.wrap(function()
    while true do coroutine.yield(hearth.caller().principal) end
  end)
  return self.co()
end
function O.expose:who() return hearth.caller().principal .. " " .. self.f() .. " " .. self.co() end
return O
