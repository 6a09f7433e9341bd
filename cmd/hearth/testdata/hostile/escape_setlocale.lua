-- call: me attack -> result 1.5 false nil C
-- call: me other.probe -> result 1.5
local O = hearth.object {}
function O.expose:attack()
  local de = os.setlocale("de_DE.UTF-8") or os.setlocale("tr_TR", "ctype")
  return 1.5 .. " " .. tostring(("\228"):match("%a") ~= nil) .. " " .. tostring(de) .. " " .. os.setlocale()
end
function O.expose:probe() return tostring(1.5) end
return O
