-- Conditions that are constant inside loops.
local function a() for k in pairs{1} do if false then p = 1 end end return 1 end
print(a())
local function b() for _, v in ipairs{1, 2} do local x = false and v if nil then return 2 end if true then x = v end
  print(x) end return 1 end
print(b())
local function c() local r = {} for i = 1, 3 do r[#r + 1] = true and i or 0 r[#r + 1] = nil and i or -i end return
  unpack(r) end
print(c())
local function d() while true do if 1 then break end end repeat if false then return "no" end until true return
  "end" end
print(d())
local function e(x) for k, v in pairs{k = 1} do x = false and x or v x = x and true and k end return x end
print(e())
local function f() for _ in pairs{1} do do local x = false; if x then return 1 elseif false then return 2 else
  return 3 end end end end
print(f())
while false do print("never") end
if nil then print("never") elseif not true then print("never") else print("else") end
for _ = 1, 0 do print("never") end
local function g() for i = 1, 2 do if not nil then if i == 2 then return i end end end end
print(g())
