-- call: me count "deep" -> result 1
-- reload:
-- call: me count "cycle" -> result 1
-- reload:
-- call: me count "huge" -> result 1
-- reload:
-- call: me count "function" -> result 1
-- reload:
-- call: me count "memory" -> result 1
-- reload:
-- call: me count "error" -> result 1
-- reload:
-- call: me count "metatable" -> result 1
-- reload:
-- call: me count "none" -> result 1
local O = hearth.object { instance = "single" }
function O:init(n) self.n = type(n) == "number" and n or 0 end
function O:handover()
  local t = {}
  if self.how == "deep" then for _ = 1, 1e5 do t = { t } end end
  if self.how == "cycle" then t[1] = t end
  if self.how == "huge" then for i = 1, 100 do t[i] = ("x"):rep(1e6) end end
  if self.how == "function" then return print end
  if self.how == "memory" then while true do t[#t + 1] = { #t } end end
  if self.how == "error" then error(setmetatable({}, { __tostring = function() while true do end end })) end
  if self.how == "metatable" then return setmetatable({}, { __index = function() while true do end end }) end
  return t
end
function O.expose:count(how) self.n, self.how = self.n + 1, how return self.n end
return O
