-- Functional tools: curry, compose, memoize, folds, partial application with holes, chains.
local F = {}
local _ = setmetatable({}, {__tostring = function() return "_" end})
function F.pack(...) return {n = select("#", ...), ...} end
function F.partial(f, ...)
  local held = F.pack(...)
  return function(...)
    local args, given = {}, F.pack(...)
    local next, n = 1, 0
    for i = 1, held.n do
      local v = held[i]
      if v == _ then v = given[next] next = next + 1 end
      n = n + 1
      args[n] = v
    end
    for i = next, given.n do n = n + 1 args[n] = given[i] end
    return f(unpack(args, 1, n))
  end
end
function F.curry(f, n)
  local function step(left, held)
    return function(x)
      local args = {unpack(held)}
      args[#args + 1] = x
      if left == 1 then return f(unpack(args)) end
      return step(left - 1, args)
    end
  end
  return step(n or 2, {})
end
function F.compose(...)
  local fs = {...}
  local function run(i, ...) if i == 0 then return ... end return run(i - 1, fs[i](...)) end
  return function(...) return run(#fs, ...) end
end
function F.memoize(f)
  local NIL, cache, hits = {}, {}, 0
  return function(...)
    local node = cache
    for i = 1, select("#", ...) do
      local k = (select(i, ...))
      if k == nil then k = NIL end
      node[k] = node[k] or {}
      node = node[k]
    end
    if node.result then hits = hits + 1 else node.result = F.pack(f(...)) end
    return unpack(node.result, 1, node.result.n)
  end, function() return hits end
end
function F.map(f, t) local r = {} for i, v in ipairs(t) do r[i] = f(v, i) end return r end
function F.filter(p, t) local r = {} for _, v in ipairs(t) do r[#r + 1] = p(v) and v or nil end return r end
function F.fold(f, acc, t) for _, v in ipairs(t) do acc = f(acc, v) end return acc end
function F.foldr(f, acc, t) for i = #t, 1, -1 do acc = f(t[i], acc) end return acc end
function F.zip(...) local lists, r = {...}, {} for i = 1, math.huge do local row = {} for j, l in ipairs(lists) do
  if l[i] == nil then return r end row[j] = l[i] end r[i] = row end end
function F.range(a, b, s) local r = {} for i = a, b, s or 1 do r[#r + 1] = i end return r end
function F.group(f, t) local r = {} for _, v in ipairs(t) do local k = f(v) r[k] = r[k] or {} table.insert(r[k], v)
  end return r end
function F.flatten(t, r) r = r or {} for _, v in ipairs(t) do if type(v) == "table" then F.flatten(v, r) else r[#r +
  1] = v end end return r end
function F.unique(t) local seen = {} return F.filter(function(v) local new = not seen[v] seen[v] = seen[v] or true
  return new end, t) end
function F.chain(t)
  return setmetatable({}, {__index = function(self, name)
    return function(_, f, ...)
      if name == "value" then return t end
      if f == nil then t = F[name](t) elseif select("#", ...) > 0 then t = F[name](f, (...), t) else t = F[name](f,
        t) end
      return self
    end
  end})
end
local function show(t) return "{" .. table.concat(F.map(tostring, t), " ") .. "}" end

local sub = function(a, b, c) return a - b - (c or 0) end
print(F.partial(sub, 10)(3), F.partial(sub, _, 10)(3), F.partial(sub, _, 1, _)(10, 5), F.partial(print, nil, _)(nil,
  nil))
print(F.curry(sub)(5)(2), F.curry(sub, 3)(9)(3)(1))
print(F.compose(math.sqrt, math.abs)(-16), F.compose()(1, nil, 2), F.compose(select, function(...) return 2, ...
  end)("a", "b", "c"))
local calls = 0
local slow, hits = F.memoize(function(a, b) calls = calls + 1 return a, b, calls end)
print(slow(1, nil), slow(1, nil), slow(nil, 1), slow(), slow(1), calls, hits())
print(show(F.map(function(x, i) return x * i end, {5, 6, 7})), show(F.filter(function(x) return x % 2 == 0 end,
  F.range(1, 10))))
print(F.fold(function(a, b) return a .. b end, "", {1, 2, 3}), F.foldr(function(a, b) return a .. b end, "", {1, 2,
  3}))
print(#F.zip({1, 2, 3}, {4, 5}), F.zip({1, 2}, {"a", "b"})[2][2], show(F.range(5, 1, -2)), show(F.flatten{1, {2, {3,
  {4}}, 5}}))
local groups = F.group(function(s) return #s end, {"a", "bb", "c", "dd", "eee"})
print(show(groups[1]), show(groups[2]), show(groups[3]))
print(show(F.unique{1, 2, 1, 3, 2}))
print(show(F.chain{1, {2, 3}, {{4}}}:flatten():map(function(x) return x * x end):filter(function(x) return x > 1
  end):fold(function(a, b) a[#a + 1] = b return a end, {0}):value()))
print(pcall(F.partial(error, _, 0), "raised"), pcall(F.curry(sub), nil), pcall(F.compose(nil), 1), pcall(F.map, nil,
  {1}))
local fib fib = F.memoize(function(n) if n < 2 then return n end return fib(n - 1) + fib(n - 2) end)
print(fib(80))
