-- call: alice attack -> result true
-- call: bob probe -> result clean
-- call: alice attack -> result true
-- call: bob probe -> result clean
local O = hearth.object { instance = "call" }
local t = {}
function O.expose:attack()
  setmetatable(t, { __index = function() return "poisoned" end })
  local mt = getmetatable(self)
  pcall(function() mt.__index.probe = function() return "poisoned" end end)
  pcall(function() getmetatable(mt.__index).__index = { helper = function() return "poisoned" end } end)
  pcall(setmetatable, self, { __index = function() return print end })
  pcall(setmetatable, O, { __index = function() return "poisoned" end })
  pcall(setmetatable, _G, { __index = function() return "poisoned" end })
  return true
end
function O:helper() return t.x or O.nothing or nowhere or "clean" end
function O.expose:probe() return self:helper() end
return O
