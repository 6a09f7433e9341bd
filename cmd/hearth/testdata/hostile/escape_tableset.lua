-- call: me attack -> result true
-- call: me twin.probe -> result 3 a,b
-- call: me other.probe -> result 3 a,b
-- call: bob probe -> result 3 a,b
-- call: me other.probe -> result 3 a,b
local O = hearth.object { instance = "session" }
function O.expose:attack()
  table.insert, table.concat, table.sort = nil, function() return "poisoned" end, nil
  return table.insert == nil
end
function O.expose:probe()
  local t = { "a" }
  table.insert(t, "b")
  return #t + 1 .. " " .. table.concat(t, ",")
end
return O
