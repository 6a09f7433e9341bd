-- Multiple assignment of locals, fields, parameters and upvalues.
local a, b = 1, 2
a, b = b, a
print(a, b)
local x, y = 0, 1
for _ = 1, 10 do x, y = y, x + y end
print(x, y)
local function gcd(m, n) while n ~= 0 do m, n = n, m % n end return m end
print(gcd(48, 18), gcd(18, 48), gcd(7, 0))
local c = 3
a, b, c = c, a, b
print(a, b, c)
local o, v = {x = "field"}, "local"
o.x, v = v, o.x
print(o.x, v)
local p, q = "p"
q, p = p, q
print(p, q)
local function up() a, b = b, a return a, b end
print(up())
print(up())
local t, i = {10, 20, 30}, 1
i, t[i] = i + 1, 99
print(i, t[1], t[2], t[3])
t[i], t[i + 1], i = t[i + 1], t[i], "done"
print(t[1], t[2], t[3], i)
local function f(m, n, k) m, n, k = k, m, n m, n = n, m, k return m, n, k end
print(f(1, 2, 3))
local list = {1, 2, 3, 4, 5}
for l = 1, 2 do list[l], list[#list - l + 1] = list[#list - l + 1], list[l] end
print(table.concat(list, " "))
g1, g2 = "g1", "g2"
g1, g2 = g2, g1
print(g1, g2)
local r1, r2, r3 = (function() return 1, 2 end)()
r1, r2, r3 = r3, (function() return r1, r2 end)()
print(r1, r2, r3)
