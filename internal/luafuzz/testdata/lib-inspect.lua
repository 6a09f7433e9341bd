-- A printer of values that shows each table once, with sorted keys and indentation.
local inspect = {}
local order = {number = 1, boolean = 2, string = 3, table = 4, ["function"] = 5, userdata = 6, thread = 7}
local function before(a, b)
  local ta, tb = type(a), type(b)
  if ta == tb and (ta == "string" or ta == "number") then return a < b end
  local oa, ob = order[ta] or 100, order[tb] or 100
  return oa == ob and ta < tb or oa < ob
end
local keywords = {}
for w
  in ("and break do else elseif end false for function if in local nil not or repeat return then true until while"):gmatch("%a+") do keywords[w] = true end
local function isName(s) return type(s) == "string" and s:match("^[%a_][%w_]*$") and not keywords[s] end
local function quote(s)
  if s:match('"') and not s:match("'") then return "'" .. s .. "'" end
  return '"' .. s:gsub('"', '\\"') .. '"'
end
local function clean(s) return (s:gsub("\\", "\\\\"):gsub("(%c)%f[0-9]", function(c)
  return ("\\%03d"):format(c:byte()) end):gsub("%c", function(c) return "\\" .. c:byte() end)) end

local Inspector = {}
Inspector.__index = Inspector
function Inspector:count(t)
  if type(t) ~= "table" then return end
  if self.seen[t] then self.seen[t] = self.seen[t] + 1 return end
  self.seen[t] = 1
  for k, v in pairs(t) do self:count(k) self:count(v) end
  self:count(getmetatable(t))
end
function Inspector:id(v)
  local ids = self.ids[type(v)] or {n = 0}
  self.ids[type(v)] = ids
  if not ids[v] then ids.n = ids.n + 1 ids[v] = ids.n end
  return ids[v]
end
function Inspector:put(...) for i = 1, select("#", ...) do self.out[#self.out + 1] = (select(i, ...)) end end
function Inspector:line() self:put("\n", self.indent:rep(self.level)) end
function Inspector:table(t)
  if self.ids.table and self.ids.table[t] then return self:put("<table ", self:id(t), ">") end
  if self.level >= self.depth then return self:put("{...}") end
  if self.seen[t] > 1 then self:put("<", self:id(t), ">") end
  local keys, length = {}, #t
  for k in pairs(t) do
    if not (type(k) == "number" and k >= 1 and k <= length and k % 1 == 0) then keys[#keys + 1] = k end
  end
  table.sort(keys, before)
  local meta = getmetatable(t)
  self:put("{")
  self.level = self.level + 1
  for i = 1, length do
    self:put(i > 1 and ", " or " ")
    self:value(t[i])
  end
  for i, k in ipairs(keys) do
    if i > 1 or length > 0 then self:put(",") end
    self:line()
    if isName(k) then self:put(k) else self:put("[") self:value(k) self:put("]") end
    self:put(" = ")
    self:value(t[k])
  end
  if type(meta) == "table" then
    if #keys + length > 0 then self:put(",") end
    self:line()
    self:put("<metatable> = ")
    self:value(meta)
  end
  self.level = self.level - 1
  if #keys > 0 or type(meta) == "table" then self:line() elseif length > 0 then self:put(" ") end
  self:put("}")
end
function Inspector:value(v)
  local kind = type(v)
  if kind == "string" then self:put(quote(clean(v)))
  elseif kind == "number" or kind == "boolean" or kind == "nil" then self:put(tostring(v))
  elseif kind == "table" then self:table(v)
  else self:put("<", kind, " ", self:id(v), ">") end
end
setmetatable(inspect, {__call = function(_, root, options)
  options = options or {}
  local self = setmetatable({out = {}, seen = {}, ids = {}, level = 0, depth = options.depth or math.huge, indent =
    options.indent or "  "}, Inspector)
  self:count(root)
  self:value(root)
  return table.concat(self.out)
end})

print(inspect(1), inspect("it's"), inspect('say "hi"'), inspect('both \' "'), inspect("\n\0001\t"), inspect(nil),
  inspect(true))
print(inspect({}))
print(inspect({1, 2, {3, "four"}}))
print(inspect({a = 1, b = {c = {d = {}}}, ["not a name"] = 2, ["end"] = 3, [10] = 4, [true] = 5, [1.5] = 6}))
print(inspect({1, 2, x = 3, f = print, g = print, h = type, co = coroutine.create(print)}))
local shared = {1}
local loop = {shared, shared, name = "loop"}
loop.me = loop
print(inspect(loop))
print(inspect({a = {b = {c = {}}}}, {depth = 2}), inspect({1, a = {2}}, {indent = "\t"}))
print(inspect(setmetatable({1}, {__index = {x = 1}, __mode = "k"})))
print(inspect({[{}] = "table key", [print] = "function key"}))
