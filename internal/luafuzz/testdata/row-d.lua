-- A caught error leaves the variables of closures as they are.
local n = 0
local function inc() n = n + 1 end
pcall(error, "x")
inc()
pcall(error, "x")
inc()
print(n)
local function retry(times, f)
  local failures = {}
  for i = 1, times do
    local done, value = pcall(f, i)
    if done then return value, failures end
    failures[#failures + 1] = value
    inc()
  end
end
local value, failures = retry(5, function(i) if i < 3 then error("try " .. i, 0) end return "value " .. i end)
print(value, table.concat(failures, ","), n)
print(xpcall(function() inc() error("handled", 0) end, function(m) inc() return m .. " " .. n end))
print(n)
local co = coroutine.wrap(function() inc() coroutine.yield(n) inc() error("in the coroutine", 0) end)
print(pcall(co))
print(pcall(co))
inc()
print(n)
local function middle() local ok = pcall(function() inc() error() end) inc() return ok, n end
local function outer() local m = 10 local function up() m = m + n return m end local a, b = middle() return a, b,
  up(), m end
print(outer())
print(n)
local counters = {}
for i = 1, 3 do
  local c = i * 10
  counters[i] = function(fail) c = c + 1 if fail then error(c, 0) end return c end
  pcall(counters[i], true)
end
for i = 1, 3 do print(counters[i](), pcall(counters[i], true)) print(counters[i]()) end
local log = {}
local function guarded(f, ...) local r = {pcall(f, ...)} log[#log + 1] = tostring(r[2]) return unpack(r) end
print(guarded(guarded, guarded, error, "deep"), #log, log[1], log[3])
