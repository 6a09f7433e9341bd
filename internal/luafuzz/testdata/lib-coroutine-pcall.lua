-- A protected call through which coroutines may yield: each call runs in a coroutine, and a traceback of the
-- coroutine that failed, which is dead by then, becomes the message.
local depth = {}
local function finish(co, ok, ...)
  if not ok then return false, debug.traceback(co, (...)) end
  if coroutine.status(co) == "suspended" then
    return finish(co, coroutine.resume(co, coroutine.yield(...)))
  end
  return true, ...
end
local function guard(f, ...)
  local co = coroutine.create(function(...) return f(...) end)
  return finish(co, coroutine.resume(co, ...))
end

local function fail(n)
  if n == 0 then error("bottom") end
  fail(n - 1)
  return depth
end
print(guard(fail, 2))
print(guard(fail, 40))
print(guard(function() return guard(error, "inner") end))
print(guard(function() local t; t.x.y = 1 end))
print(guard(function() ("x"):rep({}) end))
print(guard(function() error({}) end))
print(guard(function() local r = setmetatable({}, {__index = function() fail(0) end}).x end))
print(guard(function() table.sort({3, 2, 1}, function() fail(0) end) end))

local steps = coroutine.wrap(function()
  print(guard(function() print("got", coroutine.yield("first")) fail(1) end))
  print(guard(function() return coroutine.yield("second") + 1 end))
  return "end"
end)
print(steps()) print(steps("a")) print(steps(2))

-- What getinfo tells of a coroutine in each of its states.
local function info(co, level)
  local i = debug.getinfo(co, level, "nSl")
  if not i then return "none" end
  return tostring(i.name) .. " " .. i.what .. " " .. i.currentline
end
local function all(co)
  local b = {coroutine.status(co)}
  for level = 0, 3 do b[#b + 1] = info(co, level) end
  print(table.concat(b, "; "))
end
local co = coroutine.create(function()
  local function wait() coroutine.yield() return 1 end
  local x = wait()
  fail(0)
end)
all(co) coroutine.resume(co) all(co) coroutine.resume(co) all(co)
print(debug.getinfo(co, 0, "f").func == error, debug.getinfo(co, 1, "f").func == fail)
print(coroutine.resume(co))
print(pcall(debug.getinfo, co), pcall(debug.getinfo, co, 0, "?"), debug.getinfo(co, print).what)
local done = coroutine.create(function() return 1 end)
coroutine.resume(done) all(done) print(debug.traceback(done, "done"))
