-- call: alice attack -> result true
-- call: bob who -> result bob plain false
local O = hearth.object { instance = "single" }
function O.expose:attack()
  local c = hearth.caller()
  c.principal, c.channel, c.tenant, c.admin = "root", "plain", "demo", true
  self.last = c
  setmetatable(c, { __index = error })
  return hearth.caller().principal == "alice" and hearth.caller().admin == nil
end
function O.expose:who()
  local c = hearth.caller()
  return c.principal .. " " .. (c.channel == "hmac" and "plain" or c.channel) .. " " .. tostring(c == self.last or c.admin ~= nil)
end
return O
