-- debug.traceback and debug.getinfo, of coroutines too. What runs the program is cut off.
local function trace(...) local s = debug.traceback(...) return type(s) == "string" and s:gsub("in main chunk.*",
  "in main chunk") or s end
local function f() print((trace("m", 2))) end
local t = {m = function(self) f() end}
function g() t:m() end
local function h() return g() end
h()
print(pcall(function() f() end))
local co = coroutine.create(function(a) local function inner() coroutine.yield(1) end inner() coroutine.yield(2) end)
print(debug.traceback(co))
coroutine.resume(co)
print(debug.traceback(co)) print(debug.traceback(co, "msg")) print(debug.traceback(co, nil))
  print(debug.traceback(co, "m", 1))
print(debug.traceback(co, 5, 0)) print(debug.traceback(co, "far", 9))
coroutine.resume(co)
print(debug.traceback(co))
print(type(debug.traceback({})), debug.traceback(nil), pcall(debug.traceback, true))
print((trace("l9", 99)))
print(coroutine.wrap(function() return debug.traceback("inside") end)())
print(coroutine.wrap(function() return debug.traceback(coroutine.running(), "itself") end)())
local function sorted() print((trace("in sort", 2))) end
table.sort({1, 2}, function(a, b) sorted() return a < b end)
local mt = setmetatable({}, {__index = function(t, k) f() return 1 end, __add = function() f() return 1 end, __call
  = function() f() end})
print(mt.x, mt + 1)
mt()
for k in (function() f() end) do end
print((select(2, xpcall(function() local x = nil; x.y = 1 end, trace))))
local function show(i)
  if not i then return print("nil") end
  i.source = nil
  local keys = {}
  for k, v in pairs(i) do keys[#keys + 1] = k .. "=" .. tostring(v):gsub("0x.*", "") end
  table.sort(keys)
  print(table.concat(keys, " "))
end
show(debug.getinfo(1)) show(debug.getinfo(f)) show(debug.getinfo(type)) show(debug.getinfo(1, "l"))
  show(debug.getinfo(f, "S"))
show(debug.getinfo(99)) show(debug.getinfo(1, "n")) show(debug.getinfo(type, "nSlu")) show(debug.getinfo(0, "nS"))
local function level() show(debug.getinfo(1, "nSl")) show(debug.getinfo(2, "nSl")) end
level()
t.level = level
t.level()
local function tail() return level() end
tail()
print(pcall(debug.getinfo, 1, "x"), pcall(debug.getinfo), pcall(debug.getinfo, "x"), pcall(debug.getinfo, {}))
