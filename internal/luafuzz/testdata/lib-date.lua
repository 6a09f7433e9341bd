-- A date library over day numbers: arithmetic, parsing, formatting, comparison.
local Date = {}
Date.__index = Date
local months = {"January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
  "November", "December"}
local days = {"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"}
local byName = {}
for i, m in ipairs(months) do byName[m:lower()], byName[m:sub(1, 3):lower()] = i, i end
local function leap(y) return y % 4 == 0 and (y % 100 ~= 0 or y % 400 == 0) end
local lengths = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}
local function monthDays(y, m) return m == 2 and leap(y) and 29 or lengths[m] end
local function number(y, m, d)
  y, m = y + math.floor((m - 1) / 12), (m - 1) % 12 + 1
  local n = 365 * (y - 1970) + math.floor((y - 1969) / 4) - math.floor((y - 1901) / 100) + math.floor((y - 1601) /
    400)
  for i = 1, m - 1 do n = n + monthDays(y, i) end
  return n + d - 1
end
local function split(n)
  local y = 1970 + math.floor(n / 365.2425)
  while number(y + 1, 1, 1) <= n do y = y + 1 end
  while number(y, 1, 1) > n do y = y - 1 end
  local m, rest = 1, n - number(y, 1, 1)
  while rest >= monthDays(y, m) do rest, m = rest - monthDays(y, m), m + 1 end
  return y, m, rest + 1
end
local function new(n) return setmetatable({n = n}, Date) end
function Date.of(y, m, d) return new(number(y, m or 1, d or 1)) end
function Date.parse(s)
  local y, m, d = s:match("^(%d%d%d%d)-(%d%d?)-(%d%d?)$")
  if not y then
    local name
    d, name, y = s:match("^(%d%d?)%.?%s+(%a+)%s+(%d+)$")
    if not name then name, d, y = s:match("^(%a+)%s+(%d%d?),?%s+(%d+)$") end
    m = name and byName[name:lower()]
  end
  y, m, d = tonumber(y), tonumber(m), tonumber(d)
  if not (y and m and d) or m < 1 or m > 12 or d < 1 or d > monthDays(y, m) then return nil, "not a date: " .. s end
  return Date.of(y, m, d)
end
function Date:parts() return split(self.n) end
function Date:weekday() return (self.n + 4) % 7 + 1 end
function Date:yearday() local y = self:parts() return self.n - number(y, 1, 1) + 1 end
function Date:add(what, count)
  local y, m, d = self:parts()
  if what == "days" then return new(self.n + count) end
  if what == "weeks" then return new(self.n + 7 * count) end
  if what == "years" then what, count = "months", count * 12 end
  if what ~= "months" then error("unknown unit " .. tostring(what), 2) end
  m = m + count
  y, m = y + math.floor((m - 1) / 12), (m - 1) % 12 + 1
  return Date.of(y, m, math.min(d, monthDays(y, m)))
end
local letters = {
  Y = function(d) return ("%04d"):format((d:parts())) end,
  m = function(d) return ("%02d"):format((select(2, d:parts()))) end,
  d = function(d) return ("%02d"):format((select(3, d:parts()))) end,
  B = function(d) local _, m = d:parts() return months[m] end,
  b = function(d) local _, m = d:parts() return months[m]:sub(1, 3) end,
  A = function(d) return days[d:weekday()] end,
  j = function(d) return ("%03d"):format(d:yearday()) end,
  ["%"] = function() return "%" end,
}
function Date:format(f) return (f:gsub("%%(.)", function(l) local make = letters[l] if not make then
  error("unknown letter %" .. l, 3) end return make(self) end)) end
Date.__tostring = function(d) return d:format("%Y-%m-%d") end
Date.__eq = function(a, b) return a.n == b.n end
Date.__lt = function(a, b) return a.n < b.n end
Date.__le = function(a, b) return a.n <= b.n end
Date.__sub = function(a, b) if type(b) == "number" then return new(a.n - b) end return a.n - b.n end
Date.__add = function(a, b) if type(a) == "number" then a, b = b, a end return new(a.n + b) end
Date.__concat = function(a, b) return tostring(a) .. tostring(b) end
function Date.range(from, to, step) local at = from return function() if at <= to then local now = at at = at
  + (step or 1) return now end end end

for _, s in ipairs{"1970-01-01", "2000-02-29", "1900-02-29", "2024-12-31", "1 March 2021", "Jul 4, 1776",
  "2021-13-01", "x", "1600-01-01", "31. Apr 2020"} do
  local d, problem = Date.parse(s)
  print(s, d and tostring(d) or problem, d and d.n, d and d:format("%A %d %B %Y, day %j, 100%%"))
end
local d = Date.of(2024, 1, 31)
print(tostring(d:add("months", 1)), tostring(d:add("months", 13)), tostring(d:add("months", -2)),
  tostring(d:add("years", -1)), tostring(d:add("weeks", 5)))
print(d + 30, 30 + d == d + 30, d - 31 < d, d - Date.of(2023, 1, 31), d >= d, d > d, d .. " | " .. (d - 1))
local list = {}
for day in Date.range(Date.of(2023, 2, 26), Date.of(2023, 3, 2)) do list[#list + 1] = day:format("%d%b") end
print(table.concat(list, " "))
for y = 1896, 2004, 4 do if not leap(y) then print(y, monthDays(y, 2)) end end
local ok = 0
for n = -200000, 200000, 777 do local y, m, dd = split(n) if number(y, m, dd) == n and os.date("!%Y-%m-%d", n *
  86400) == ("%04d-%02d-%02d"):format(y, m, dd) then ok = ok + 1 end end
print(ok, pcall(d.add, d, "hours", 1), pcall(function() return d:format("%Q") end), pcall(function() return d < 1
  end))
