-- Assertions that are chained by words, and a comparison that looks at metatables through debug.
local function same(a, b, seen)
  if type(a) ~= "table" or type(b) ~= "table" then return a == b end
  local ma, mb = debug.getmetatable(a), debug.getmetatable(b)
  if ma ~= mb then return false, "metatables" end
  if ma and ma.__eq then return a == b end
  for k, v in pairs(a) do
    local ok, at = same(v, b[k])
    if not ok then return false, at and k .. "." .. at or k end
  end
  for k in pairs(b) do if a[k] == nil then return false, k end end
  return true
end

local checks = {
  equal = function(a, b) return a == b, ("%s is not %s"):format(tostring(a), tostring(b)) end,
  same = function(a, b) local ok, at = same(a, b) return ok, "differ at " .. tostring(at) end,
  error = function(f) return not pcall(f), "no error" end,
  truthy = function(v) return not not v, tostring(v) .. " is not true" end,
}
local function words(negated)
  return setmetatable({}, {
    __index = function(t, k)
      if k == "is_not" or k == "has_no" then return words(not negated) end
      if not checks[k] then return words(negated) end
      return function(...)
        local ok, why = checks[k](...)
        if ok == negated then error("failed: " .. (negated and "not " .. k or why), 2) end
        return ...
      end
    end,
    __call = function(_, v, m) if not v then error(m or "assertion failed!", 2) end return v end,
  })
end
local check = words(false)

local point = {__eq = function(a, b) return a.x == b.x end}
local function p(x) return setmetatable({x = x, y = {}}, point) end
print(pcall(function() check.are.equal(1, 1) check.that.is.truthy(0) return check(5) end))
print(pcall(function() check.are.equal(1, "1") end))
print(pcall(function() check.are.same({1, {a = {2}}}, {1, {a = {3}}}) end))
print(pcall(function() check.is_not.same({}, {}) end))
print(pcall(function() check.same(p(1), p(1)) check.is_not.same(p(1), p(2)) check.same(p(1), {x = 1}) end))
print(pcall(function() check.has_no.error(function() end) check.has.error(function() end) end))
print(pcall(function() check(nil, "custom") end), pcall(function() check(false) end))
print(debug.getmetatable("").__index == string, debug.getmetatable(1), debug.getmetatable({}), pcall(debug.getmetatable))
