-- call: me attack -> result 0
-- call: me twin.attack -> result 0
local O = hearth.object { instance = "call" }
-- A userdata of a script's own has no value; what it shares is a metatable of its own.
function O.expose:attack()
  local n, p = 0, newproxy(true)
  local m = getmetatable(p)
  m.__gc = function() while true do end end
  m.__index = function() return "own" end
  m.__tostring = function() return "own" end
  for _, v in ipairs { io.stdout, hearth.null, hearth.bytes "x", hearth.int(1), hearth.proxy("a.b"), hearth.stream(print) } do
    if pcall(newproxy, v) then n = n + 1 end
    for _, name in ipairs { "write", "sub", "base64", "tonumber", "len" } do
      local found, f = pcall(function() return v[name] end)
      if found and f and pcall(f, p) then n = n + 1 end
    end
  end
  if tostring(newproxy(p)) ~= "own" or getmetatable(newproxy()) ~= nil then n = n + 1 end
  for i = 1, 1000 do getmetatable(newproxy(true)).__gc = error end
  collectgarbage()
  return n
end
return O
