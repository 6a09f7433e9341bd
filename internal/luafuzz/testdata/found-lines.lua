print(pcall(function() for
i
= 1,
{}
do end end))
print(pcall(function()
for i = 1,
2, nil
do
end end))
print(pcall(function()
for i = 1,
2,
nil do
end end))
print(pcall(function()
for a
in
nil
do
end end))
print(pcall(function()
local x = 1 +
nil
end))
print(pcall(function()
local x = {} ..
"x" ..
"y"
end))
print(pcall(function()
local x = f
.y
.z
end))
print(pcall(function()
f(
1
)
end))
print(pcall(function()
local t = {
  a = 1,
  b =
  nil + 1,
  c
  = 2
}
end))
print(pcall(function()
local t = {
  [nil]
  =
  1
}
end))
print(pcall(function()
local a, b =
1,
x.y,
2
end))
print(pcall(function()
x
.
y
=
1
end))
print(pcall(function()
return
-
{}
end))
print(pcall(function()
return not
#
nil
end))
print(pcall(function()
local a = {}
return a
<
a
end))
print(pcall(function()
local s = "x"
return s
:rep(
{})
end))
print(pcall(function()
local s = "x"
return s:
nothing(
)
end))
print(pcall(function()
if
x.y
then
end
end))
print(pcall(function()
while
x.y
do
end
end))
print(pcall(function()
repeat
until
x.y
end))
print(pcall(function()
return
(function() error("e") end)(
)
end))
print(pcall(function()
local a =
error
"e"
end))
print(pcall(function()
error(
"e"
)
end))
print(pcall(function()
local f = function()
end
f(x
.y)
end))
print(pcall(function()
function x.y.
z() end
end))
print(pcall(function()
function x
.y:z()
end
end))
print(pcall(function()
x[
1
]
[
2
] =
3
end))
print(pcall(function()
local t = {}
t[nil
]
=
3
end))
print(pcall(function()
local a = 1
local b = a
.. nil
.. 2
end))
print(pcall(function()
local a = x and
x or
nil +
1
end))
print(pcall(function()
return 1 < 2 and
1 <
{}
end))
