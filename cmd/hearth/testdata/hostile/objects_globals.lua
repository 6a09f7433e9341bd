-- call: me attack -> result true
-- call: me twin.probe -> result nil nil nil A
-- call: me other.probe -> result nil nil nil A
local O = hearth.object { instance = "single" }
function O.expose:attack()
  local g, rawset, pairs = _G, rawset, pairs
  leak, g.leak2 = "x", "x"
  for k in pairs(g) do g[k] = nil end
  rawset(g, "leak2", "x")
  rawset(g, "leak3", "x")
  string = { upper = function() return "poisoned" end }
  return true
end
function O.expose:probe()
  return ("%s %s %s %s"):format(tostring(leak), tostring(leak2), tostring(rawget(_G, "leak3")), string.upper("a"))
end
return O
