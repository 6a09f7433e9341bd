-- A class library: inheritance, mixins, metamethods that are inherited, class methods.
local Class = {}

local inherited = {"__tostring", "__add", "__eq", "__lt", "__le", "__call", "__concat", "__unm", "__len"}

local handlers = {}

local function lookup(class, key)
  while class do
    local v = rawget(class.methods, key)
    if v ~= nil then return v end
    class = class.parent
  end
end

-- Objects of two classes are compared only if both have the same function for the event.
for _, event in ipairs(inherited) do
  handlers[event] = function(a, b, ...)
    local meta = getmetatable(a)
    if not (meta and meta.class) then meta = getmetatable(b) end
    local f = lookup(meta.class, event)
    if not f then error(("class %s has no %s"):format(meta.class.name, event), 2) end
    return f(a, b, ...)
  end
end

local function build(name, parent, ...)
  local class = {name = name, parent = parent, methods = {}, mixins = {...}}
  local meta = {}
  meta.__index = function(object, key)
    local getter = lookup(class, "get_" .. tostring(key))
    if getter then return getter(object) end
    return lookup(class, key)
  end
  meta.__newindex = function(object, key, value)
    local setter = lookup(class, "set_" .. tostring(key))
    if setter then return setter(object, value) end
    rawset(object, key, value)
  end
  for _, event in ipairs(inherited) do meta[event] = handlers[event] end
  meta.class = class
  class.meta = meta
  for _, mixin in ipairs(class.mixins) do
    for k, v in pairs(mixin) do class.methods[k] = v end
  end
  function class:new(...)
    local object = setmetatable({}, meta)
    local init = lookup(class, "init")
    if init then init(object, ...) end
    return object
  end
  function class:super(object, method, ...) return lookup(parent, method)(object, ...) end
  return setmetatable(class, {
    __call = class.new,
    __index = class.methods,
    __newindex = class.methods,
    __tostring = function() return "class " .. name end,
  })
end

function Class.define(name) return function(parent) return build(name, getmetatable(parent) and parent or nil) end end
Class.build = build

local Printable = {describe = function(self) return self:kind() .. "(" .. tostring(self) .. ")" end}
local Shape = Class.build("Shape", nil, Printable)
function Shape:init(name) self.label = name end
function Shape:kind() return "shape" end
function Shape:area() error("abstract method", 2) end
function Shape:get_double() return self:area() * 2 end
function Shape.__tostring(self) return self.label .. ":" .. self:area() end
function Shape.__lt(a, b) return a:area() < b:area() end
function Shape.__le(a, b) return a:area() <= b:area() end
function Shape.__eq(a, b) return a:area() == b:area() end
function Shape.__add(a, b) return a:area() + (type(b) == "number" and b or b:area()) end
function Shape.__call(self, ...) return self:kind(), ... end
function Shape.__concat(a, b) return tostring(a) .. "|" .. tostring(b) end
function Shape.__unm(self) return -self:area() end

local Rectangle = Class.build("Rectangle", Shape)
function Rectangle:init(w, h) Rectangle:super(self, "init", "rect") self.w, self.h = w, h end
function Rectangle:area() return self.w * self.h end
function Rectangle:kind() return "rectangle" end
function Rectangle:set_width(w) self.w = w end

local Square = Class.build("Square", Rectangle)
function Square:init(side) Square:super(self, "init", side, side) self.label = "square" end

local r, s = Rectangle(2, 3), Square(3)
print(tostring(Shape), tostring(Square), r.name, Square.parent == Rectangle)
print(r:describe(), s:describe(), r.double, s.double)
print(r < s, s <= r, r == s, r == Rectangle(3, 2), r ~= s, r + s, r + 1, -r)
print(r .. s, r .. "x", "x" .. s, r(1, nil, 3))
r.width = 10
print(r.w, rawget(r, "width"), r:area(), s.area == Rectangle.area, s.kind(s))
print(pcall(function() return Shape("bare"):area() end))
print(pcall(function() return Shape("bare").double end))
print(pcall(function() return Square(1).missing.field end))
print(pcall(function() return #Square(1) end))
print(pcall(function() return {} < Square(1) end))
local list = {Square(3), Square(1), Rectangle(1, 2)}
table.sort(list)
for i, shape in ipairs(list) do print(i, tostring(shape)) end
