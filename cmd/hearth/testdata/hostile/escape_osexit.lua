-- call: me attack -> result true
-- call: me twin.probe -> result alive
-- call: me other.probe -> result alive
-- call: bob probe -> result alive
-- call: me other.probe -> result alive
local O = hearth.object { instance = "session" }
function O.expose:attack()
  for _, code in ipairs { 0, 1, true, "x", -1 } do if pcall(os.exit, code) then return false end end
  pcall(os.exit)
  return os.execute == nil
end
function O.expose:probe() return "alive" end
return O
