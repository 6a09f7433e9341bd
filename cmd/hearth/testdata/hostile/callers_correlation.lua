-- call: alice attack -> result false
-- call: bob attack -> result false
-- call: bob attack -> result false
local O = hearth.object { instance = "single" }
function O.expose:attack()
  local id = hearth.caller().correlation
  local was = self[id] or false
  self[id] = true
  return was
end
return O
