-- Events, observables and a scheduler of coroutines.
local Emitter = {}
Emitter.__index = Emitter
function Emitter.new() return setmetatable({handlers = {}, once = {}}, Emitter) end
function Emitter:on(name, f, priority)
  local list = self.handlers[name] or {}
  self.handlers[name] = list
  local at = #list + 1
  while at > 1 and list[at - 1].priority < (priority or 0) do at = at - 1 end
  table.insert(list, at, {f = f, priority = priority or 0})
  return function() for i, h in ipairs(self.handlers[name] or {}) do if h.f == f then
    table.remove(self.handlers[name], i) return true end end return false end
end
function Emitter:one(name, f) local off off = self:on(name, function(...) off() return f(...) end) return off end
function Emitter:emit(name, ...)
  local list, results = {unpack(self.handlers[name] or {})}, {n = 0}
  for _, h in ipairs(list) do
    local r = {pcall(h.f, ...)}
    if not r[1] then
      if name == "error" then error(r[2], 0) end
      self:emit("error", r[2], name)
    elseif r[2] == false then break
    else results.n = results.n + 1 results[results.n] = r[2] end
  end
  return unpack(results, 1, results.n)
end
local e = Emitter.new()
local log = {}
local off = e:on("x", function(v) log[#log + 1] = "a" .. v return v end)
e:on("x", function(v) log[#log + 1] = "b" .. v return v * 2 end, 5)
e:one("x", function(v) log[#log + 1] = "once" .. v end)
print(e:emit("x", 1)) print(e:emit("x", 2)) print(off(), off()) print(e:emit("x", 3))
print(table.concat(log, " "))
e:on("bad", function() error("handler failed", 0) end)
print(pcall(e.emit, e, "bad"))
e:on("error", function(m, from) log[#log + 1] = m .. " in " .. from end)
print(pcall(e.emit, e, "bad"), log[#log])
e:on("stop", function() return "first" end) e:on("stop", function() return false end) e:on("stop", function() return
  "never" end)
print(e:emit("stop"), e:emit("nothing"))

local Observable = {}
Observable.__index = Observable
local function observable(subscribe) return setmetatable({subscribe = subscribe}, Observable) end
function Observable.of(...) local items, n = {...}, select("#", ...) return observable(function(_, next, _, done)
  for i = 1, n do next(items[i]) end if done then done() end end) end
function Observable:map(f)
  return observable(function(_, next, fail, done)
    return self:subscribe(function(...)
      local r = {pcall(f, ...)}
      if r[1] then next(unpack(r, 2)) elseif fail then fail(r[2]) end
    end, fail, done)
  end)
end
function Observable:filter(p) return observable(function(_, next, ...) return self:subscribe(function(v) if p(v)
  then next(v) end end, ...) end) end
function Observable:scan(f, acc) return observable(function(_, next, ...) local state = acc return
  self:subscribe(function(v) state = f(state, v) next(state) end, ...) end) end
function Observable:take(n) return observable(function(_, next, fail, done) local left = n return
  self:subscribe(function(v) if left > 0 then left = left - 1 next(v) if left == 0 and done then done() end end end,
  fail, left and nil) end) end
function Observable:merge(other) return observable(function(_, ...) self:subscribe(...) return other:subscribe(...)
  end) end
local out = {}
local function put(...) out[#out + 1] = table.concat({...}, "/") end
Observable.of(1, 2, 3, 4):map(function(x) if x == 3 then error("three", 0) end return x, x * x end):subscribe(put,
  function(m) put("failed", m) end, function() put("done") end)
Observable.of(5, 6, 7):filter(function(x) return x ~= 6 end):scan(function(a, b) return a + b end,
  10):merge(Observable.of("m")):subscribe(put)
Observable.of("a", "b", "c"):take(2):subscribe(put, nil, function() put("taken") end)
print(table.concat(out, " "))

local Scheduler = {time = 0, queue = {}}
function Scheduler:spawn(f, ...) local args = {...} self:at(self.time, coroutine.create(function() return
  f(unpack(args)) end)) end
function Scheduler:at(time, co) local i = #self.queue + 1 while i > 1 and self.queue[i - 1].time > time do i = i - 1
  end table.insert(self.queue, i, {time = time, co = co}) end
function Scheduler:run(log)
  while #self.queue > 0 do
    local job = table.remove(self.queue, 1)
    self.time = job.time
    local ok, wait = coroutine.resume(job.co)
    if not ok then log("failed", wait) elseif coroutine.status(job.co) == "suspended" then self:at(self.time + (wait
      or 0), job.co) else log("ended", wait) end
  end
end
local function sleep(t) return coroutine.yield(t) end
local function worker(name, step, n) for i = 1, n do print(Scheduler.time, name, i) if i == 3 then error(name ..
  " is tired", 0) end sleep(step) end return name end
Scheduler:spawn(worker, "slow", 3, 2)
Scheduler:spawn(worker, "fast", 1, 4)
Scheduler:spawn(function() sleep(2.5) Scheduler:spawn(worker, "late", 0.5, 1) end)
Scheduler:run(print)
