-- A local is not visible in its own initializer; a local function is.
local tostring = function(x) return "<" .. tostring(x) .. ">" end
print(tostring(1), tostring(nil))
local x = 1
local x, y = x + 1, x
print(x, y)
local f = function(n) return f and f(n) or "outer " .. n end
print(f(1))
local function fact(n) return n <= 1 and 1 or n * fact(n - 1) end
print(fact(5))
local print2, print = print, function(...) return select("#", ...) end
print2(print(1, 2, 3))
local t = {t = "outer"}
local t = {inner = t, self = t and t.t}
print2(t.inner.t, t.self)
do local x = x * 10 do local x = x * 10 print2(x) end print2(x) end
print2(x)
