-- call: me attack -> result true
-- call: me twin.probe -> result nil string bytes list
-- call: me other.probe -> result nil string bytes list
-- call: bob probe -> result nil string bytes list
-- call: me other.probe -> result nil string bytes list
local O = hearth.object { instance = "session" }
function O.expose:attack()
  setmetatable(string, { __index = function() return "poisoned" end })
  setmetatable(_G, { __index = function() return "poisoned" end, __newindex = function() end })
  local closed = true
  for _, v in ipairs { hearth.list {}, hearth.dict {}, hearth.exception("A"), hearth.tuple(), hearth.kw {} } do
    closed = closed and not pcall(setmetatable, v, {}) and type(getmetatable(v)) == "string"
  end
  for _, v in ipairs { hearth.bytes "x", hearth.null, hearth.int(1), hearth.proxy("a.b"), io.stdout, hearth.stream(print) } do
    closed = closed and type(getmetatable(v)) == "string" and not pcall(function() v.x = 1 end) and not pcall(setmetatable, v, {})
  end
  return closed and nothing == "poisoned"
end
function O.expose:probe()
  return tostring(nothing or string.nothing) .. " " .. type(string.rep and "x") .. " " .. getmetatable(hearth.bytes "x") .. " " .. getmetatable(hearth.list {})
end
return O
