-- Functions added to the string library, and operators by the metatable of strings.
function string.split(s, sep, plain, max)
  local out, at = {}, 1
  if sep == "" then for c in s:gmatch(".") do out[#out + 1] = c end return out end
  while not max or #out < max do
    local from, to = s:find(sep or "%s+", at, plain)
    if not from or to < from then break end
    out[#out + 1] = s:sub(at, from - 1)
    at = to + 1
  end
  out[#out + 1] = s:sub(at)
  return out
end
function string:trim() return (self:gsub("^%s+", ""):gsub("%s+$", "")) end
function string:starts(prefix) return self:sub(1, #prefix) == prefix end
function string:ends(suffix) return suffix == "" or self:sub(-#suffix) == suffix end
function string:pad(n, c) return #self >= n and self or self .. (c or " "):rep(n - #self) end
function string:lines() return (self .. "\n"):gmatch("(.-)\r?\n") end
function string:title() return (self:gsub("(%a)([%w_']*)", function(a, b) return a:upper() .. b:lower() end)) end
function string:wrap(width)
  local lines, line = {}, ""
  for word in self:gmatch("%S+") do
    if #line + #word + 1 > width and line ~= "" then lines[#lines + 1] = line line = word else line = line == "" and
      word or line .. " " .. word end
  end
  lines[#lines + 1] = line
  return table.concat(lines, "\n")
end
function string:interpolate(t) return (self:gsub("%${(.-)}", function(k) local v = t for part in k:gmatch("[^.]+")
  do v = type(v) == "table" and v[tonumber(part) or part] or nil end return v ~= nil and tostring(v) or nil end)) end
local meta = getmetatable("")
meta.__mod = function(f, args) if type(args) == "table" then return f:format(unpack(args)) end return f:format(args)
  end
meta.__mul = function(s, n) return s:rep(n) end
meta.__div = function(s, sep) return s:split(sep, true) end
meta.__call = function(s, i, j) return s:sub(i, j or i) end
meta.__unm = string.reverse
local method = meta.__index
meta.__index = function(s, k) if type(k) == "number" then return method.sub(s, k, k) end return method[k] end
local function show(t) for i, v in ipairs(t) do t[i] = "%q" % v end return table.concat(t, ",") end
print(show(("a,b,,c"):split(",")), show(("a b  c"):split()), show((""):split(",")), show(("abc"):split("")),
  show(("a.b.c"):split(".", true, 1)))
print(("  x y "):trim() .. "|", ("hello"):starts("he"), ("hello"):ends("lo"), ("hello"):ends(""), ("ab"):pad(5,
  "."), ("hello wORLD it's"):title())
for line in ("one\ntwo\r\n\nfour"):lines() do print("%q" % line) end
print(("the quick brown fox jumps over the lazy dog"):wrap(16))
print(("${a.b} ${list.2} ${missing} ${a}"):interpolate{a = {b = 1}, list = {"x", "y"}})
print("%d-%s" % {1, "x"}, "%5.2f" % 3.14159, "ab" * 3, show("a/b/c" / "/"), ("hello")(2, 4), ("hello")(1),
  -"abc", ("hello")[1], ("hello")[-1], #("hello")[99])
print(pcall(function() return "a" + 1 end), "10" + 1, "3" * 4, pcall(function() return {} % "x" end),
  pcall(function() return ("x").y.z end))
meta.__index = string
print(pcall(function() return ("x")[1] end), ("x"):pad(3) .. "|")
for k in pairs{split = 1, trim = 1, starts = 1, ends = 1, pad = 1, lines = 1, title = 1, wrap = 1, interpolate = 1}
  do string[k] = nil end
print(pcall(function() return ("x"):trim() end), rawget(string, "split"))
