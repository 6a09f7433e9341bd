-- Constructors that mix positional and named values.
local function f() return 1, 2, 3 end
print(#{"a", id = f()})
local function g(...) return #{..., n = select("#", ...)}, {..., n = select("#", ...)} end
local n, t = g("x", "y", "z")
print(n, t[1], t[2], t.n)
local u = {f(), id = f(), f()}
print(#u, u[1], u[2], u[4], u.id)
local w = {[1] = "named", "positional", [2] = "second"}
print(w[1], w[2])
local z = {f(), (f())}
print(#z, z[2], z[3])
local k = {n = f(), [f()] = "first", "p1", x = 1, "p2", f(); f()}
print(#k, k[1], k[2], k[3], k[4], k[5], k[6], k.n, k.x)
local long = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28,
  29, 30, 31, 32,
  33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 52, 53, key = "value", 54, f()}
print(#long, long[50], long[51], long[54], long[57], long.key)
print(pcall(function() return {[nil] = 1} end))
print(pcall(function() return {[0 / 0] = 1} end))
