-- Numeric loops.
for i = "1", "3" do print(i, type(i)) end
for i = " 2 ", "0x4", "1" do print(i) end
print(pcall(function() for i = "a", 2 do end end), pcall(function() for i = 1, {} do end end), pcall(function() for
  i = 1, 2, nil do end end))
print(pcall(function() for i = nil, 2 do end end))
for i = 1, 2, 0.5 do print(i) end
for i = 3, 1, -1 do print(i) i = 10 end
for i = 1, 0 do print("never") end
local n = 0
for i = 1, 3, 0 do n = n + 1 if n > 3 then break end end
print(n)
for i = 0.1, 0.35, 0.1 do print(i) end
for i = 1 / 0, 1 / 0 do n = n + 1 if n > 6 then break end end
print(n)
for i = 2 ^ 53, 2 ^ 53 + 2 do n = n + 1 if n > 12 then break end end
print(n)
local bound = 3
for i = 1, bound do bound = 1 print(i, bound) end
local fs = {}
for i = 1, 3 do fs[i] = function() i = i + 1 return i end end
print(fs[1](), fs[1](), fs[2](), fs[3]())
