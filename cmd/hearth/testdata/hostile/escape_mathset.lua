-- call: me attack -> result true
-- call: me twin.probe -> result 2 3
-- call: me other.probe -> result 2 3
-- call: bob probe -> result 2 3
-- call: me other.probe -> result 2 3
local O = hearth.object { instance = "session" }
function O.expose:attack()
  math.floor, math.max, math.huge = nil, function() return "poisoned" end, 1
  return math.floor == nil
end
function O.expose:probe() return math.floor(2.5) .. " " .. math.max(1, 3) end
return O
