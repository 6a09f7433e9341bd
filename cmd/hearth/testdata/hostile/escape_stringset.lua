-- call: me attack -> result true
-- call: me twin.probe -> result XX 3
-- call: me other.probe -> result XX 3
-- call: bob probe -> result XX 3
-- call: me other.probe -> result XX 3
local O = hearth.object { instance = "session" }
function O.expose:attack()
  string.rep, string.upper, string.len = nil, function() return "poisoned" end, nil
  return string.rep == nil
end
function O.expose:probe() return ("x"):rep(2):upper() .. " " .. ("abc"):len() end
return O
