-- beside 12: me attack -> error ~"limit exceeded"
-- call: me ping -> result true
local O = hearth.object { instance = "call" }
-- Compiling takes a hundred times the size of the source for a moment.
function O.expose:attack()
  local s = "x={" .. ("{},"):rep(3e5) .. "}"
  while true do loadstring(s) end
end
function O.expose:ping() return true end
return O
