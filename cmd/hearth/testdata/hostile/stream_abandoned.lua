-- beside 30: me attack -> either ~"."
-- stream: alice attack -> either ~"."
-- call: me ping -> result true
local O = hearth.object { instance = "call" }
-- Streams that hold memory, and that nobody reads to the end.
function O.expose:attack()
  local t = {}
  for i = 1, 20 do t[i] = ("x"):rep(1e6) .. i end
  return hearth.stream(function() return #t end)
end
function O.expose:ping() return true end
return O
