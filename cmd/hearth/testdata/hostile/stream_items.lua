-- stream: me huge -> either ~"."
-- stream: me nested -> error ~"item stream"
-- stream: me grows -> error ~"limit exceeded"
-- call: me ping -> result true
local O = hearth.object { instance = "call" }
function O.expose:huge() return hearth.stream(function() return ("x"):rep(7e6) end) end
function O.expose:nested() return hearth.stream(function() return hearth.stream(print) end) end
function O.expose:grows()
  local t = {}
  return hearth.stream(function() for _ = 1, 8 do t[#t + 1] = ("x"):rep(1e6) .. #t end return #t end)
end
function O.expose:ping() return true end
return O
