-- A concatenation assigned to a parameter.
local function last(s) s = s .. "x" return s end
print(last("a"), pcall(last, nil))
local function second(a, s) s = a .. s .. "y" return s, a end
print(second("a", "b"))
local function first(s, a) s = "x" .. s return s, a end
print(first("a", "b"))
local function both(a, b) a, b = a .. b, b .. a return a, b end
print(both("1", "2"))
local function loop(s) for i = 1, 5 do s = s .. i .. "," end return s end
print(loop(""), loop("n"))
local function nested(s) local function inner() s = s .. "i" return s end inner() s = s .. inner() return s end
print(nested("o"))
local function vararg(s, ...) s = s .. select("#", ...) .. (...) return s end
print(vararg("v", 1, 2))
local o = {text = "t"}
function o:add(s) s = self.text .. s self.text = s return s end
print(o:add("a"), o:add("b"), o.text)
