-- A PEG matcher by closures with operators, captures and a calculator; and a small Lisp.
local P = {}
P.__index = P
local pattern
local function new(match) return setmetatable({match = match}, P) end
local function literal(s) return new(function(text, at) if text:sub(at, at + #s - 1) == s then return at + #s end
  end) end
function pattern(x)
  local kind = type(x)
  if kind == "string" then return literal(x)
  elseif kind == "number" then
    if x >= 0 then return new(function(text, at) if at + x - 1 <= #text then return at + x end end) end
    return new(function(text, at) if at - x - 1 > #text then return at end end)
  elseif kind == "boolean" then return new(function(_, at) return x and at or nil end)
  elseif kind == "function" then return new(x)
  elseif getmetatable(x) == P then return x
  elseif kind == "table" then
    local rules = {}
    local function rule(name) return new(function(text, at, caps) return (rules[name] or error("rule '" ..
      tostring(name) .. "' is not defined", 0)).match(text, at, caps) end) end
    for k, v in pairs(x) do if k ~= 1 then rules[k] = pattern(type(v) == "function" and v(rule) or v) end end
    return rule(x[1])
  end
  error("not a pattern: " .. kind, 2)
end
local function class(set) return new(function(text, at) if text:find("^[" .. set .. "]", at) then return at + 1 end
  end) end
P.__mul = function(a, b) a, b = pattern(a), pattern(b) return new(function(text, at, caps) local mid = a.match(text,
  at, caps) return mid and b.match(text, mid, caps) end) end
P.__add = function(a, b)
  a, b = pattern(a), pattern(b)
  return new(function(text, at, caps)
    local n = #caps
    local r = a.match(text, at, caps)
    if r then return r end
    for i = #caps, n + 1, -1 do caps[i] = nil end
    return b.match(text, at, caps)
  end)
end
P.__unm = function(a) return new(function(text, at) if not a.match(text, at, {}) then return at end end) end
P.__len = function() error("never called for tables in 5.1") end
P.__sub = function(a, b) return -pattern(b) * pattern(a) end
P.__pow = function(a, n)
  return new(function(text, at, caps)
    local count = 0
    while n >= 0 or count < -n do
      local kept = #caps
      local r = a.match(text, at, caps)
      if not r or r == at then for i = #caps, kept + 1, -1 do caps[i] = nil end break end
      at, count = r, count + 1
    end
    if count >= n then return at end
  end)
end
P.__div = function(a, f)
  return new(function(text, at, caps)
    local inner = {}
    local r = a.match(text, at, inner)
    if not r then return nil end
    if #inner == 0 then inner[1] = text:sub(at, r - 1) end
    if type(f) == "table" then caps[#caps + 1] = f[inner[1]] elseif type(f) == "string" then caps[#caps + 1]
      = (f:gsub("%%(%d)", function(i) return inner[tonumber(i)] end))
    else for _, v in ipairs{f(unpack(inner))} do caps[#caps + 1] = v end end
    return r
  end)
end
local function C(p) return pattern(p) / function(s) return s end end
local function Ct(p) p = pattern(p) return new(function(text, at, caps) local inner = {} local r = p.match(text, at,
  inner) if r then caps[#caps + 1] = inner return r end end) end
local function match(p, text) local caps = {} local r = pattern(p).match(text, 1, caps) if not r then return nil end
  if #caps == 0 then return r end return unpack(caps) end
local digit, space, alpha = class("0-9"), class(" \t\n") ^ 0, class("a-zA-Z_")
print(match(digit ^ 1, "123a"), match("ab", "abc"), match(pattern "a" + "b", "b"), match(digit ^ -2, "1234"),
  match(digit ^ 3, "12"), match(-digit * 1, "a"), match(-1, ""), match(2, "x"), match(true, ""))
print(match(C(alpha ^ 1) * "=" * C(digit ^ 1), "key=42"), match(Ct(C(digit) ^ 0), "123")[3], match((1 - pattern ",")
  ^ 0, "ab,c"), match(C(digit) / {["1"] = "one"}, "1"), match(C(1) * C(1) / "%2%1", "xy"))
local function token(p) return pattern(p) * space end
local function chain(first, ...) local acc, rest = first, {...} for i = 1, #rest, 2 do local op, v = rest[i], rest[i
  + 1]
  if op == "+" then acc = acc + v elseif op == "-" then acc = acc - v elseif op == "*" then acc = acc * v elseif op
    == "/" then acc = acc / v end end return acc end
local calculator = space * pattern{"sum",
  sum = function(V) return (V "product" * (C(token(class("+%-"))) / function(s) return (s:match("%S")) end * V
    "product") ^ 0) / chain end,
  product = function(V) return (V "power" * (C(token(class("*/"))) / function(s) return (s:match("%S")) end * V
    "power") ^ 0) / chain end,
  power = function(V) return (V "atom" * (token "^" * V "power") ^ -1) / function(a, b) return b and a ^ b or a end
    end,
  atom = function(V) return token(C(pattern "-" ^ -1 * digit ^ 1 * (pattern "." * digit ^ 1) ^ -1) / tonumber) +
    token "(" * V "sum" * token ")" end,
} * -1
for _, s in ipairs{"1", " 1 + 2 * 3", "(1 + 2) * 3", "2 ^ 3 ^ 2", "10 / 4 - 1", "-2 * -(3)", "1 +", "((1)", "1.5*2",
  "2*(3+(4-1))*2"} do print(s, match(calculator, s)) end
local csv = Ct(C((1 - class(",\n")) ^ 0) * (pattern "," * C((1 - class(",\n")) ^ 0)) ^ 0)
print(table.concat(match(csv, "a,b,,c"), "|"), pcall(pattern, print) and pcall(match, pattern{"x"}, "a"),
  pcall(function() return digit * nil end), pcall(function() return {} * digit end), #digit)

-- A Lisp.
local function parse(s)
  local stack, top = {}, {}
  for t in s:gsub("[()']", " %0 "):gmatch("%S+") do
    if t == "(" then stack[#stack + 1] = top top = {} elseif t == ")" then local done = top top =
      table.remove(stack) or error("too many )", 0) top[#top + 1] = done else top[#top + 1] = tonumber(t) or t end
  end
  if #stack > 0 then error("missing )", 0) end
  return top
end
local evaluate
local globals = {["+"] = function(...) local n = 0 for i = 1, select("#", ...) do n = n + select(i, ...) end return
  n end, ["-"] = function(a, b) return b and a - b or -a end, ["*"] = function(a, b) return a * b end, ["<"] =
  function(a, b) return a < b end,
  ["="] = function(a, b) return a == b end, list = function(...) return {...} end, head = function(l) return l[1]
    end, tail = function(l) return {unpack(l, 2)} end, ["nil?"] = function(l) return #l == 0 end, cons = function(x,
    l) return {x, unpack(l)} end, ["true"] = true, ["false"] = false}
local forms = {}
forms["if"] = function(e, env) local c = evaluate(e[2], env) if c then return evaluate(e[3], env) end return e[4]
  and evaluate(e[4], env) end
forms.define = function(e, env) env[e[2]] = evaluate(e[3], env) return nil end
forms.lambda = function(e, env) return function(...) local inner = setmetatable({}, {__index = env}) for i, name in
  ipairs(e[2]) do inner[name] = (select(i, ...)) end local r for i = 3, #e do r = evaluate(e[i], inner) end return r
  end end
forms.let = function(e, env) local inner = setmetatable({}, {__index = env}) for i = 1, #e[2], 2 do inner[e[2][i]] =
  evaluate(e[2][i + 1], inner) end return evaluate(e[3], inner) end
function evaluate(e, env)
  if type(e) == "number" then return e elseif type(e) == "string" then local v = env[e] if v == nil then
    error("unknown name " .. e, 0) end return v end
  local form = forms[e[1]]
  if form then return form(e, env) end
  local f, args = evaluate(e[1], env), {}
  for i = 2, #e do args[i - 1] = evaluate(e[i], env) end
  return f(unpack(args))
end
local function show(v) if type(v) ~= "table" then return tostring(v) end local out = {} for i, x in ipairs(v) do
  out[i] = show(x) end return "(" .. table.concat(out, " ") .. ")" end
local function lisp(s) local ok, r = pcall(function() local env, last = setmetatable({}, {__index = globals}), nil
  for _, e in ipairs(parse(s)) do last = evaluate(e, env) end return last end) print(s, ok, show(r)) end
lisp("(+ 1 2 3)") lisp("(define fib (lambda (n) (if (< n 2) n (+ (fib (- n 1)) (fib (- n 2)))))) (fib 15)")
  lisp("(let (x 2 y (* x 3)) (+ x y))")
lisp("(define map (lambda (f l) (if (nil? l) l (cons (f (head l)) (map f (tail l)))))) (map (lambda (x) (* x x)) (list 1 2 3))") lisp("(undefined 1)") lisp("(1 2)") lisp("(+ 1") lisp(")") lisp("((lambda (x) (lambda (y) (- x y))) 1)") lisp("(((lambda (x) (lambda (y) (- x y))) 10) 3)")
