-- What is folded before a function runs: 0 and -0 tell.
local function a() local k = 0 return -(nil or 0), 1 / -(nil or 0) end
print(a())
local function b() local k = 0 return -(1 and 0), -(not nil and 0), -(("x") and (0)), -((nil or false) or 0) end
print(b())
local function c(x) local k = 0 return -(x or 0), -(x and 0), -(false and 0 or 0) end
print(c(1))
local function d() return nil or select("#", 1, 2), (nil or select(1, 1, 2)), 1 and select(1, "a", "b") end
print(d())
local function e(...) return nil or ..., 1 and ... end
print(e(1, 2), (e(3, 4)))
print((nil or 1) + 1, (1 and 2) * 3, -(nil or 2), #(nil or "abc"), not (nil or 1), not (1 and nil), not not 1)
-- Numbers of 14 digits and a fraction keep their zeros.
print(16616465284800.5, 10000000000000.5, 12000000000000.25, -99999999999990.5, 1e13 + 0.5, 100000000000000.5, 0.1 *
  10 .. "")
print(("%.14g %g %.3g %.20g"):format(16616465284800.5, 100000.5, 100.4, 1e15), ("%g %.0f %5.0f"):format(1200000.1,
  1e15, 100.5))
