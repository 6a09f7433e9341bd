-- call: alice attack -> result true
-- call: bob probe -> result clean
-- call: alice attack -> result true
-- call: bob gone -> error ~"."
local O = hearth.object { instance = "call" }
function O.expose:attack()
  O.expose.probe = function() return "poisoned" end
  O.expose.gone = function() return "grown" end
  O.init = function() end
  O.expose = {}
  return true
end
function O.expose:probe() return "clean" end
return O
