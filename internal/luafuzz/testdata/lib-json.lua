-- JSON: a reader by position and a writer with sorted keys.
local json = {null = setmetatable({}, {__tostring = function() return "null" end})}

local escapes = {['"'] = '\\"', ["\\"] = "\\\\", ["\b"] = "\\b", ["\f"] = "\\f", ["\n"] = "\\n", ["\r"] = "\\r",
  ["\t"] = "\\t"}
local unescapes = {b = "\b", f = "\f", n = "\n", r = "\r", t = "\t", ['"'] = '"', ["\\"] = "\\", ["/"] = "/"}

local function quote(s)
  return '"' .. s:gsub('[%c"\\]', function(c) return escapes[c] or ("\\u%04x"):format(c:byte()) end) .. '"'
end

local writers = {}
local function write(v, seen)
  local writer = writers[type(v)] or error("cannot write a " .. type(v), 0)
  return writer(v, seen)
end
function writers.string(v) return quote(v) end
writers["nil"] = function() return "null" end
function writers.boolean(v) return tostring(v) end
function writers.number(v)
  if v ~= v or v == math.huge or v == -math.huge then error("cannot write " .. tostring(v):gsub("-nan", "nan"), 0) end
  return ("%.14g"):format(v)
end
function writers.table(v, seen)
  if v == json.null then return "null" end
  if seen[v] then error("circular reference", 0) end
  seen[v] = true
  local out = {}
  if #v > 0 or next(v) == nil then
    for i = 1, #v do out[i] = write(v[i], seen) end
    seen[v] = nil
    return "[" .. table.concat(out, ",") .. "]"
  end
  for k in pairs(v) do
    if type(k) ~= "string" then error("key is a " .. type(k), 0) end
    out[#out + 1] = k
  end
  table.sort(out)
  for i, k in ipairs(out) do out[i] = quote(k) .. ":" .. write(v[k], seen) end
  seen[v] = nil
  return "{" .. table.concat(out, ",") .. "}"
end
function json.encode(v) return write(v, {}) end

local function fail(s, at, message)
  local line, column = 1, 1
  for i = 1, at - 1 do
    column = column + 1
    if s:sub(i, i) == "\n" then line, column = line + 1, 1 end
  end
  error(("%d:%d: %s"):format(line, column, message), 0)
end

local function space(s, at) return s:find("[^ \t\r\n]", at) or #s + 1 end

local function utf8(n)
  if n < 128 then return string.char(n) end
  if n < 2048 then return string.char(192 + math.floor(n / 64), 128 + n % 64) end
  return string.char(224 + math.floor(n / 4096), 128 + math.floor(n / 64) % 64, 128 + n % 64)
end

local read
local function text(s, at)
  local out, i = {}, at + 1
  while true do
    local j = s:find('["\\%c]', i)
    if not j then fail(s, at, "unfinished string") end
    out[#out + 1] = s:sub(i, j - 1)
    local c = s:sub(j, j)
    if c == '"' then return table.concat(out), j + 1
    elseif c == "\\" then
      local e = s:sub(j + 1, j + 1)
      if e == "u" then
        local hex = s:match("^%x%x%x%x", j + 2) or fail(s, j, "bad escape")
        out[#out + 1] = utf8(tonumber(hex, 16))
        i = j + 6
      else
        out[#out + 1] = unescapes[e] or fail(s, j, "bad escape")
        i = j + 2
      end
    else fail(s, j, "control character in string") end
  end
end

local readers = {
  ['"'] = text,
  ["["] = function(s, at)
    local list, n = {}, 0
    at = space(s, at + 1)
    if s:sub(at, at) == "]" then return list, at + 1 end
    repeat
      n = n + 1
      list[n], at = read(s, at)
      at = space(s, at)
      local c = s:sub(at, at)
      if c ~= "," and c ~= "]" then fail(s, at, "expected ',' or ']'") end
      at = at + 1
    until c == "]"
    return list, at
  end,
  ["{"] = function(s, at)
    local object = {}
    at = space(s, at + 1)
    if s:sub(at, at) == "}" then return object, at + 1 end
    while true do
      local key
      at = space(s, at)
      if s:sub(at, at) ~= '"' then fail(s, at, "expected a key") end
      key, at = text(s, at)
      at = space(s, at)
      if s:sub(at, at) ~= ":" then fail(s, at, "expected ':'") end
      object[key], at = read(s, at + 1)
      at = space(s, at)
      local c = s:sub(at, at)
      at = at + 1
      if c == "}" then return object, at elseif c ~= "," then fail(s, at - 1, "expected ',' or '}'") end
    end
  end,
}
local words = {["true"] = true, ["false"] = false, null = json.null}
function read(s, at)
  at = space(s, at)
  local reader = readers[s:sub(at, at)]
  if reader then return reader(s, at) end
  local word = s:match("^%a+", at)
  if word and words[word] ~= nil then return words[word], at + #word end
  local number = s:match("^-?%d+%.?%d*[eE]?[+-]?%d*", at)
  local value = number and tonumber(number)
  if not value then fail(s, at, "unexpected " .. (at > #s and "end" or "'" .. s:sub(at, at) .. "'")) end
  return value, at + #number
end
function json.decode(s)
  local value, at = read(s, 1)
  at = space(s, at)
  if at <= #s then fail(s, at, "trailing text") end
  return value
end

for _, source in ipairs{
  "[]", "{}", "1", "-1.5e3", "null", "true", '"a\\u00e9\\n\\"\\/"', "[1, [2, [3]], {\"k\": [true, false, null]}]",
  ' { "b" : 1 , "a" : { "c" : "x" } } ', '{"list":[{"id":1},{"id":2}],"n":0.1}',
    "[1e15, 123456789012, 0.30000000000000004]",
  "[1,]", "[1 2]", '{"a" 1}', '{a: 1}', '"unfinished', '"\\x"', "tru", "", "[", "1 2", '{"a":1,}', "\n\n  ]",
    '"tab\there"', "-", "[1,\n 2,\n x]",
} do
  local ok, value = pcall(json.decode, source)
  print(source, ok, ok and json.encode(value) or value)
end
local loop = {1} loop[2] = loop
for _, v in ipairs{{1, 2, {3}}, {x = {y = {z = "deep"}}}, "quote\"d\1", 1 / 3, 1e100, {}, json.null, {[1] = 1, [2] =
  2}, loop, {f = print}, {[1.5] = 1}, 0 / 0, 1 / 0} do
  print(pcall(json.encode, v))
end
