-- Translations: nested keys, fallbacks, plurals, interpolation, lists; and checks of values by type.
local i18n = {store = {}, locale = "en", fallback = "en"}
local plural = {
  en = function(n) return n == 1 and "one" or "other" end,
  pl = function(n) return n == 1 and "one" or n % 10 >= 2 and n % 10 <= 4 and (n % 100 < 12 or n % 100 > 14) and
    "few" or "many" end,
  ja = function() return "other" end,
}
local function walk(t, path, make)
  for part in path:gmatch("[^.]+") do
    if type(t) ~= "table" then return nil end
    if make and t[part] == nil then t[part] = {} end
    t = t[part]
  end
  return t
end
function i18n.load(data, prefix)
  for k, v in pairs(data) do
    local path = prefix and prefix .. "." .. k or k
    if type(v) == "table" then i18n.load(v, path) else i18n.set(path, v) end
  end
end
function i18n.set(path, value)
  local parent, key = path:match("^(.*)%.([^.]+)$")
  walk(i18n.store, parent, true)[key] = value
end
local function ancestors(locale) return coroutine.wrap(function() while locale do coroutine.yield(locale) locale =
  locale:match("^(.*)%-[^-]*$") end coroutine.yield(i18n.fallback) end) end
local function interpolate(s, data)
  s = s:gsub("(.?)%%{%s*(.-)%s*}", function(before, k) if before == "%" then return end return before ..
    tostring(data[k]) end)
  return (s:gsub("(.?)%%<%s*(.-)%s*>%.([cdEefgGiouXxsq])", function(before, k, f) return before .. ("%" ..
    f):format(data[k] or 0) end))
end
function i18n.translate(key, data)
  data = data or {}
  for locale in ancestors(data.locale or i18n.locale) do
    local found = walk(i18n.store, locale .. "." .. key)
    if type(found) == "table" then
      local rule = plural[locale:match("^%a+")] or plural.en
      found = found[rule(data.count or 1)] or found.other
    end
    if found then return interpolate(found, data) end
  end
  return data.default or ("missing: " .. key)
end
setmetatable(i18n, {__call = function(_, ...) return i18n.translate(...) end})
i18n.load{en = {hello = "Hello %{name}!", items = {one = "one item", other = "%{count} items"}, price =
  "%<amount>.d euro, 100%", deep = {er = {key = "deep"}}},
  pl = {items = {one = "1 plik", few = "%{count} pliki", many = "%{count} plik\195\179w"}}, ["pl-PL"] = {hello =
    "Cze\197\155\196\135 %{name}"}}
print(i18n("hello", {name = "Ann"}), i18n("hello"), i18n("deep.er.key"), i18n("deep.er"), i18n("nothing"),
  i18n("nothing", {default = "d"}), i18n("price", {amount = 12}))
for _, locale in ipairs{"en", "pl", "pl-PL", "ja", "en-GB-x"} do
  i18n.locale = locale
  local out = {}
  for _, n in ipairs{0, 1, 2, 5, 12, 22, 100} do out[#out + 1] = i18n("items", {count = n}) end
  print(locale, table.concat(out, "; "), i18n("hello", {name = "B"}))
end

-- Shapes: values are checked and repaired.
local Type = {}
Type.__index = Type
local function shape(check, name) return setmetatable({check = check, name = name}, Type) end
Type.__call = function(t, v) return t.check(v) end
Type.__tostring = function(t) return t.name end
Type.__add = function(a, b) return shape(function(v) local ok, p = a(v) if ok then return true end local ok2, p2 =
  b(v) if ok2 then return true end return nil, p .. " and " .. p2 end, a.name .. "|" .. b.name) end
Type.__mul = function(a, b) return shape(function(v) local ok, p = a(v) if not ok then return ok, p end return b(v)
  end, a.name .. "&" .. b.name) end
function Type:optional() return shape(function(v) if v == nil then return true end return self(v) end, self.name ..
  "?") end
local types = setmetatable({}, {__index = function(t, name)
  local s = shape(function(v) if type(v) == name then return true end return
    nil, ("expected %s, got %s"):format(name, type(v)) end, name)
  rawset(t, name, s)
  return s
end})
local function record(fields)
  return shape(function(v)
    local ok, p = types.table(v)
    if not ok then return nil, p end
    local problems = {}
    for k, s in pairs(fields) do local good, problem = s(v[k]) if not good then problems[#problems + 1] = k .. ": "
      .. problem end end
    for k in pairs(v) do if not fields[k] then problems[#problems + 1] = tostring(k) .. ": unknown" end end
    table.sort(problems)
    if #problems > 0 then return nil, table.concat(problems, "; ") end
    return true
  end, "record")
end
local function array(item) return shape(function(v) for i, x in ipairs(v) do local ok, p = item(x) if not ok then
  return nil, ("[%d]: %s"):format(i, p) end end return true end, "{" .. tostring(item) .. "}") end
local positive = shape(function(v) if v > 0 then return true end return nil, "not positive" end, "positive")
local User = record{name = types.string, age = (types.number * positive):optional(), tags = array(types.string +
  types.number)}
for _, v in ipairs{{name = "a", tags = {}}, {name = 1, tags = {true}}, {name = "a", age = -1, tags = {"x", 2}},
  {name = "a", age = "1", tags = {1, {}}, extra = 1}, 5} do print(User(v)) end
print(tostring(types.string + types.number), tostring(array(types.table:optional())), types.string == types.string,
  pcall(User, {}))
