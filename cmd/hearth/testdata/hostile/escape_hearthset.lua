-- call: me attack -> result true
-- call: me twin.probe -> result me function nil
-- call: me other.probe -> result me function nil
-- call: bob probe -> result me function nil
-- call: me other.probe -> result me function nil
local O = hearth.object { instance = "session" }
function O.expose:attack()
  hearth.log, hearth.null, hearth.leak = nil, nil, "x"
  hearth.caller = function() return { principal = "root" } end
  return hearth.caller().principal == "root"
end
function O.expose:probe()
  local who = hearth.caller().principal
  return (who == "bob" and "me" or who) .. " " .. type(hearth.log.info) .. " " .. tostring(hearth.leak)
end
return O
