-- call: alice attack "mine" -> error ~"limit exceeded"
-- call: bob probe -> result nil
local O = hearth.object { instance = "call" }
local held
function O.expose:attack(v)
  held, stolen = v, v
  while true do pcall(function() while true do end end) end
end
function O.expose:probe() return tostring(held or stolen) end
return O
