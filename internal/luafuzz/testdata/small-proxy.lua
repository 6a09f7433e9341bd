-- newproxy makes userdata.
local a, b = newproxy(), newproxy(true)
print(type(a), type(b), getmetatable(a), type(getmetatable(b)), a == b, a == a, rawequal(a, a),
  tostring(a):match("^userdata: ") ~= nil)
local mt = getmetatable(b)
mt.__index = function(_, k) return k .. "!" end
mt.__newindex = function(_, k, v) print("set", k, v) end
mt.__call = function(self, ...) return select("#", ...), ... end
mt.__len = function() return 42 end
mt.__unm = function() return "minus" end
mt.__add = function(x, y) return type(x) .. "+" .. type(y) end
mt.__concat = function(x, y) return type(x) .. ".." .. type(y) end
mt.__lt = function(x, y) return true end
mt.__le = function(x, y) return false end
mt.__eq = function(x, y) return true end
mt.__tostring = function() return "proxy" end
b.x = 1
print(b.y, b[1], b(1, nil), #b, -b, b + 1, 1 + b, b .. "s", "s" .. b, b < b, b <= b, tostring(b))
local c = newproxy(b)
print(getmetatable(c) == mt, b == c, c.z, b ~= a, c < b, pcall(function() return a < b end))
print(pcall(function() return a.x end))
print(pcall(function() a.x = 1 end))
print(pcall(function() return #a end))
print(pcall(function() return a() end))
print(pcall(function() return a + 1 end))
print(pcall(function() return a .. "s" end))
print(pcall(newproxy, 1), pcall(newproxy, {}), pcall(newproxy, a), pcall(newproxy, nil), pcall(setmetatable, a, {}))
print(pcall(ipairs, a), pcall(pairs, a), pcall(next, a), pcall(rawget, a, 1), pcall(unpack, a), pcall(table.insert,
  a, 1))
local t = {[a] = 1, [b] = 2}
print(t[a], t[b], t[c], pcall(string.format, "%s", a), pcall(string.rep, a))
