-- call: me attack -> result true
-- call: me twin.probe -> result nil nil nil
-- call: me other.probe -> result nil nil nil
-- call: bob probe -> result nil nil nil
-- call: me other.probe -> result nil nil nil
local O = hearth.object { instance = "session" }
-- The globals that getfenv gives are those of this run of this script, whatever it is asked about.
function O.expose:attack()
  getfenv(0).leak, getfenv(print).leak2, getfenv(O.expose.attack or 1).leak3 = "x", "x", "x"
  local mine = true
  for _, f in ipairs { print, string.rep, hearth.caller, pcall, 0, 1 } do mine = mine and getfenv(f) == _G end
  for level = 2, 200 do pcall(function() getfenv(level).leak = "x" end) end
  return mine
end
function O.expose:probe() return tostring(leak) .. " " .. tostring(leak2) .. " " .. tostring(leak3) end
return O
