-- Generic loops over expressions of every kind.
local t = {10, 20}
for k, v in next, t do print(k, v) end
for k, v in next, t, 1 do print(k, v) end
local function req() return {f = function(x) return ipairs({x[1], "two"}) end, iter = function(l) local i = 0 return
  function() i = i + 1 return l[i] end end} end
for i, v in req().f{7} do print(i, v) end
for v in req().iter(t) do print(v) end
for v in req().iter{"a", "b"} do print(v) end
for i, v in ipairs(t), t, 1 do print(i, v) end
for w in ("one two"):gmatch("%a+") do print(w) end
for a, b, c, d in (function() local n = 0 return function() n = n + 1 if n < 3 then return n, n * 2, n * 3 end end
  end)() do print(a, b, c, d) end
for k in pairs({}) do print("never", k) end
for i = 1, 2 do for j, v in next, {i} do print(i, j, v) end end
local it = setmetatable({}, {__call = function(self, s, c) c = (c or 0) + 1 if c <= s then return c end end})
for i in it, 2 do print("called", i) end
print(pcall(function() for _ in 1 do end end))
print(pcall(function() for _ in nil, nil do end end))
print(pcall(function() for _ in t do end end))
