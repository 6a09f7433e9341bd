-- call: me attack -> result false
-- call: me probe -> result true
local O = hearth.object { instance = "call" }
-- Texts tell tables from each other, not where in memory they lie.
function O.expose:attack()
  local near, last = 0, nil
  for _ = 1, 200 do
    local at = tonumber(tostring({}):match("0x%x*(%x%x%x%x%x%x%x%x)$"), 16)
    if last and math.abs(at - last) < 2 ^ 16 then near = near + 1 end
    last = at
    local nothing
    for _, f in ipairs { function() return nothing[{}] end, function() nothing[print] = 1 end, function() ({})[coroutine.create(function() end)]() end } do
      local _, msg = pcall(f)
      if tostring(msg):match("0x") then near = near + 1 end
    end
  end
  return near > 20
end
function O.expose:probe()
  local t, u = {}, {}
  return tostring(t) == tostring(t) and tostring(t) ~= tostring(u) and tostring(t):match("^table: 0x%x+$") ~= nil
    and tostring(print):match("^function: ") ~= nil
end
return O
