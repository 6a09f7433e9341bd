-- Library functions take numbers as text, and numbers for text.
print(("x"):rep("3"), select("2", "a", "b", "c"), unpack({1, 2, 3}, "2"), unpack({1, 2, 3}, "2", "3"))
print(("abc"):sub("2"), ("abc"):sub("-2", "-1"), ("abc"):byte("1", "2"), string.char("65", 66), ("abc"):find("b",
  "1"))
print(string.len(12), string.rep(1, 3), string.upper(1.5), string.format("%s %d", 1, "2"), ("%5s|"):format(7))
print(table.concat({1, 2, "x"}, 0), table.concat({1, 2, 3}, ",", "2"), math.max("10", 9), math.floor("2.5"),
  math.abs("-1"))
print(pcall(string.rep, {}, 1), pcall(string.rep, "x", "y"), pcall(("x").rep, "x", nil), pcall(unpack, {}, "a"),
  pcall(select, "x"))
print(pcall(string.sub), pcall(string.sub, "x", {}), pcall(("x").sub), pcall(math.floor, "x"), pcall(math.max),
  pcall(table.concat, {{}}))
print(("abc"):find("", 10), ("abc"):find("", 4), ("abc"):find("", -10), ("abc"):find("c", -1), ("abc"):match("()",
  10), ("abc"):sub(10), ("abc"):byte(10))
print(table.maxn{[1] = 1, [10.5] = 1}, table.maxn{}, table.maxn{[-1] = 1, n = 5}, table.getn{1, 2})
print(pcall(next, {}, "nokey"), next({}), next({}, nil), pcall(next), rawequal(1, "1"))
print(pcall(table.sort, {3, 1, 2}, nil), pcall(table.sort, {3, 1, 2}, 1), pcall(table.sort, {1, "x", 2}))
local t = {1, 2, 3}
table.insert(t, 6, "six")
print(#t >= 3, t[4], t[6], table.remove(t, 10), table.remove({}), table.remove(t, 1), t[1])
print(pcall(table.insert, {}, 1, 2, 3), pcall(table.insert, {}), pcall(table.insert, 1, 2), pcall(table.remove, {1},
  "x"))
print(select("#"), select("#", nil, nil), select(-1, 1, 2), pcall(select, 0), pcall(select, -3, 1), select(5, 1))
print(tostring(nil), tostring(true), tostring(12), tostring("s"), pcall(tostring), type(nil), pcall(type))
print(pcall(setmetatable, {}), pcall(setmetatable, 1, {}), pcall(getmetatable), pcall(rawset, {}, nil, 1),
  pcall(rawget, 1, 1))
print(pcall(ipairs), pcall(pairs), pcall(ipairs, nil), pcall(loadstring), pcall(load, 1), pcall(string.format, "%d",
  "x"), pcall(string.format, "%s"))
