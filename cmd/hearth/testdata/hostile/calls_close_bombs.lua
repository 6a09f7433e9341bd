-- call: alice attack -> result 1
-- call: bob probe -> result clean
local O = hearth.object { instance = "call" }
local bad = false
function O:close()
  local t = {}
  while bad do t[#t + 1] = ("x"):rep(1000) .. #t end
end
function O.expose:attack() bad = true return 1 end
function O.expose:probe() return bad and "left" or "clean" end
return O
