-- Logical expressions assigned to a variable that they, or nothing of them, read.
local function f() return false end
local function g() return "g" end
local v = "old"
v = f() and g()
print(v)
local t = {}
v = "old"
v = t.a and t.a.b
print(v)
local function no() return false end
local function yes() return true end
local ok = true
ok = ok and no() and yes()
print(ok)
for _ = 1, 2 do
  local allowed = true
  allowed = allowed and no() and yes()
  local other = allowed
  other = not (allowed or yes()) and "wrong" or other
  print(allowed, other)
end
local function check(user)
  local permit = "stale"
  permit = user and user.role and user.role == "admin"
  return permit
end
print(check(nil), check({}), check({role = "guest"}), check({role = "admin"}))
ok = (no() or no()) and yes() or nil
print(ok)
ok = not (no() and yes())
print(ok)
local n = 1
n = n == 2 and "two" or n == 1 and "one" or "many"
print(n)
n = n and (n == "one" and no() or n)
print(n)
n = nil or false
print(n)
n = false or nil
print(n)
n = 0 and "" and {} and "last"
print(n)
local a, b = nil, 1
a, b = a or b, b and a
print(a, b)
local o = {flag = false}
o.flag = o.flag or no() or "default"
print(o.flag)
local function upvalue() v = v and v or no() and 1 return v end
v = false
print(upvalue())
while ok and not no() do ok = ok and no() print("round", ok) end
repeat local x = no() and 1 or nil until not x
print((no() and 1) == false, (nil and 1) == nil, not nil == true, not (1 == 2))
