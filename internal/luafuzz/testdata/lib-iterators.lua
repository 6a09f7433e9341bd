-- Stateless iterators with lazy combinators, in the triplets of the generic for.
local Iterator = {}
Iterator.__index = Iterator
Iterator.__call = function(self, param, state) return self.gen(param, state) end
local function wrap(gen, param, state) return setmetatable({gen = gen, param = param, state = state}, Iterator),
  param, state end
local function array(t, i) i = i + 1 local v = t[i] if v ~= nil then return i, v end end
local function text(s, i) i = i + 1 if i <= #s then return i, s:sub(i, i) end end
local function iter(x, param, state)
  if getmetatable(x) == Iterator then return x.gen, x.param, x.state end
  if type(x) == "table" then return array, x, 0 elseif type(x) == "string" then return text, x, 0
  elseif type(x) == "function" then return x, param, state end
  error(("cannot iterate over a %s"):format(type(x)), 3)
end
local fun = {}
function fun.iter(...) return wrap(iter(...)) end
function fun.range(a, b, step)
  if not b then a, b = 1, a end
  step = step or (a <= b and 1 or -1)
  if step == 0 then error("step is 0", 2) end
  return wrap(function(p, s) s = s + p.step if p.step > 0 and s > p.stop or p.step < 0 and s < p.stop then return
    nil end return s, s end, {stop = b, step = step}, a - step)
end
function fun.count() return wrap(function(_, s) return s + 1, s + 1 end, nil, 0) end
function fun.duplicate(...) return wrap(function(p, s) return s + 1, unpack(p, 1, p.n) end, {n = select("#", ...),
  ...}, 0) end
local function map(p, state) local function finish(s, ...) if s == nil then return nil end return s, p.f(...) end
  return finish(p.gen(p.param, state)) end
function fun.map(f, ...) local gen, param, state = iter(...) return wrap(map, {f = f, gen = gen, param = param},
  state) end
local function filter(p, state)
  local function pick(s, ...) if s == nil then return nil end if p.f(...) then return true, s, ... end return false,
    s end
  local function unwrap(ok, s, ...) if ok == nil then return nil elseif ok then return s, ... end return
    unwrap(pick(p.gen(p.param, s))) end
  return unwrap(pick(p.gen(p.param, state)))
end
function fun.filter(f, ...) local gen, param, state = iter(...) return wrap(filter, {f = f, gen = gen, param =
  param}, state) end
function fun.take(n, ...) local gen, param, state = iter(...) return wrap(function(_, s) if s[1] >= n then return
  nil end local function go(i, ...) if i == nil then return nil end return {s[1] + 1, i}, ... end return
  go(gen(param, s[2])) end, nil, {0, state}) end
function fun.takewhile(f, ...) local gen, param, state = iter(...) return wrap(function(_, s) local function go(i,
  ...) if i == nil or not f(...) then return nil end return i, ... end return go(gen(param, s)) end, nil, state) end
function fun.drop(n, ...) local gen, param, state = iter(...) for _ = 1, n do state = gen(param, state) if state ==
  nil then return wrap(function() end) end end return wrap(gen, param, state) end
function fun.zip(...)
  local sources, n = {}, select("#", ...)
  for i = 1, n do local gen, param, state = iter((select(i, ...))) sources[i] = {gen = gen, param = param, state =
    state} end
  local start = {}
  for i = 1, n do start[i] = sources[i].state end
  return wrap(function(_, states)
    local nexts, values = {}, {}
    for i = 1, n do
      nexts[i], values[i] = sources[i].gen(sources[i].param, states[i])
      if nexts[i] == nil then return nil end
    end
    return nexts, unpack(values, 1, n)
  end, nil, start)
end
function fun.chain(...)
  local sources = {}
  for i = 1, select("#", ...) do sources[i] = {iter((select(i, ...)))} end
  local function step(_, s)
    local source = sources[s[1]]
    if not source then return nil end
    local function go(i, ...) if i == nil then local following = sources[s[1] + 1] return step(nil, {s[1] + 1,
      following and following[3]}) end return {s[1], i}, ... end
    return go(source[1](source[2], s[2]))
  end
  return wrap(step, nil, {1, sources[1] and sources[1][3]})
end
function fun.cycle(...) local gen, param, start = iter(...) local function step(_, s) local function go(i, ...) if i
  == nil then return step(nil, start) end return i, ... end return go(gen(param, s)) end return wrap(step, nil,
  start) end
function fun.fold(f, acc, ...) for _, a, b in iter(...) do acc = f(acc, a, b) end return acc end
function fun.each(f, ...) local gen, param, state = iter(...) local function go(s, ...) if s ~= nil then f(...)
  return s end end repeat state = go(gen(param, state)) until state == nil end
function fun.totable(...) return fun.fold(function(t, v) t[#t + 1] = v return t end, {}, ...) end
function fun.all(f, ...) for _, v in iter(...) do if not f(v) then return false end end return true end
function fun.head(...) local gen, param, state = iter(...) return select(2, gen(param, state)) end
for _, name in ipairs{"map", "filter", "take", "takewhile", "drop", "fold"} do Iterator[name] = function(self, a, b)
  if name == "fold" then return fun.fold(a, b, self) end return (fun[name](a, self)) end end
for _, name in ipairs{"totable", "cycle", "head"} do Iterator[name] = function(self) return (fun[name](self)) end end
function Iterator:each(f) return fun.each(f, self) end
local function show(...) return table.concat(fun.totable(fun.map(tostring, ...)), " ") end
print(show(fun.range(5)), show(fun.range(3, 1)), show(fun.range(1, 2, 0.25)), show({7, 8}), show("abc"))
print(show(fun.range(10):filter(function(x) return x % 3 == 0 end):map(function(x) return x * x end)),
  show(fun.count():takewhile(function(x) return x < 4 end)))
print(show(fun.cycle("ab"):take(5)), show(fun.range(5):drop(3)), show(fun.range(2):drop(5)), show(fun.chain({1, 2},
  "x", (fun.range(2)))), show(fun.take(2, fun.duplicate("d", nil))))
for _, a, b, c in fun.zip(fun.range(3), "abcd", {true, false, true, true}) do print(a, b, c) end
for _, v in fun.map(function(x) return -x end, {1, 2}) do print(v) end
print(fun.fold(function(a, x) return a + x end, 0, fun.range(100)), fun.range(5):fold(function(a, x) return a .. x
  end, ""), fun.all(function(x) return x > 0 end, {1, 2}), fun.all(tonumber, "12x"), fun.head("xyz"),
  fun.head(fun.duplicate(1, nil, 3)))
fun.each(print, fun.zip("ab", {1, 2})) fun.range(2):each(print)
print(show(fun.filter(function(k) return k end, pairs{k = 1})), pcall(fun.iter, 5), pcall(fun.range, 1, 2, 0),
  pcall(fun.map, nil, nil), pcall(show, fun.map(nil, {1})))
print(#fun.range(2000):filter(function(x) return x > 1990 end):totable(), show(fun.range(3):map(function(x)
  return (x % 2 == 0) end)))
