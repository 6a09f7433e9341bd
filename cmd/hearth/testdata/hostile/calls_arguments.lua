-- call: alice attack {"password":"x"} -> result 0
-- call: bob attack {"password":"y"} -> result 0
local O = hearth.object { instance = "call" }
local seen = setmetatable({}, { __mode = "k" })
function O.expose:attack(t)
  local n = 0
  for _ in pairs(seen) do n = n + 1 end
  seen[t], seen[hearth.caller()], seen[self] = true, true, true
  return n
end
return O
