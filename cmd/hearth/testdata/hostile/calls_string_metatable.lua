-- call: alice attack -> result 4
-- call: bob probe -> result HA %d nil
-- call: bob twin.probe -> result HA %d nil
-- call: alice attack -> result 4
-- call: alice probe -> result HA %d nil
local O = hearth.object { instance = "call" }
function O.expose:attack()
  local n = 0
  for _, f in ipairs {
    function() getmetatable("").__index = {} end,
    function() getmetatable("").__index.upper = function() return "poisoned" end end,
    function() getmetatable("").__add = function() return "poisoned" end end,
    function() rawset(getmetatable(""), "__index", {}) end,
    function() debug.setmetatable("", {}) end,
    function() setmetatable("", {}) end,
  } do
    if pcall(f) then n = n + 1 end
  end
  return n
end
function O.expose:probe() return ("h"):upper() .. "A " .. ("%d") .. " " .. tostring(getmetatable("").__add) end
return O
