local t, u = {}, nil
local f = function() end
print(pcall(function() obj = #(nil and nil or nil and 0 or str) end))
print(pcall(function() x = 0 * ((0 or nil) and (nil and 0) or x) end))
print(pcall(function() return (n and true or u and "s" or u)[1] end))
print(pcall(function() return #(f() and g or g and x or 1 and t.b) end))
print(pcall(function() local l = 2 return ((y and x or l ~= 2 and x) or y).x end))
print(pcall(function() local l = 2 return (false and true or t[1] and "s" or (l))() end))
print(pcall(function() (nil and nil or not 0 and "s" or g).x = 1 end))
print(pcall(function() return #((not 0 and 1) or g and t or ("s").z) end))
print(pcall(function() return {1, ((true and false) or x or (t.a)).x} end))
print(pcall(function() return (x or t[1] and 0 or f)[u] .. 1 end))
print(pcall(function() return (false and y or x and nil and x or g)[1] end))
print(pcall(function() return "" .. (not (not (t[1] and t.a)) or f) end))
print(pcall(function() return #(not (not ("s" or u)) and t.a) end))
print(pcall(function() local l return 0 - (not (not ((f()) or 1)) and l) end))
print(pcall(function() return #(not (not (y or 1 < 2)) and (y)) end))
print(pcall(function() return t[(not (x == 1) and false or "s")].x end))
print(pcall(function() return t[x and nil or "s"].x end))
print(pcall(function() return t[x and nil or nil].x end))
print(pcall(function() return t[x or "s"].x end))
print(pcall(function() return -(x == 1 and x or y) end))
print(pcall(function() return -((x == 1 or y) and x or y) end))
print(pcall(function() return (1 < 2 and x)() end))
-- The values of the chains.
local function all(a, b)
  return a < b and a or b, (a < b or nil) and a, not (a < b and a) or b, not (a == b or a > b) and b,
    (a == b) or (a < b), not not (a and a == b), a and not b or nil, (a == 1 and (b == 2 or false)) or "none",
    not (a == 1 or b == 3) and (a or b), (a ~= 1 and nil or b == 2) and a == b
end
for a = 1, 3 do
  for b = 1, 3 do print(a, b, all(a, b)) end
end
local v = 1
v = v == 1 and (v > 1 or v) or v
print(v)
v = not (v == 1 and v) or not v
print(v)
