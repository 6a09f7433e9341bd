-- call: me attack -> result true
-- call: me twin.probe -> result HI false
-- call: me other.probe -> result HI false
-- call: bob probe -> result HI false
-- call: me other.probe -> result HI false
local O = hearth.object { instance = "session" }
function O.expose:attack()
  local m = getmetatable("")
  m.__index, m.__add, m.__call, m.__concat = nil, print, print, print
  return not pcall(function() return ("x"):upper() end)
end
function O.expose:probe() return ("hi"):upper() .. " " .. tostring((pcall(function() return ("x")() end))) end
return O
