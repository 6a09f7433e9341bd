-- The object of conformance.py.
local C = hearth.object { doc = "Does what the tests of Pyro's behaviour need.", instance = "single" }

function C:init()
  self.items = { "a", "b", "c" }
  self.order = {}
end

function C.expose:echo(v) return v end
function C.expose:multiply(x, y) return x * (y or 1) end
function C.expose:ping() return "pong" end
function C.expose:typeof(v) return hearth.typeof(v) end
function C.expose:class_of(v) return v.__class__ end
function C.expose:item(name) return { __class__ = "shop.Item", name = name, parts = { { __class__ = "shop.Item", name = "part", parts = {} } } } end
function C.expose:out_of_stock() error(hearth.exception("shop.OutOfStock", "no apples", { left = 0, wanted = { "a", 2 } })) end
function C.expose:unknown_class() error(hearth.exception("elsewhere.Unknown", "no converter")) end
function C.expose:raise(e) error(e) end
function C.expose:exception() return { hearth.exception("shop.OutOfStock", "as a value", { left = 3 }) } end

function C.expose:other(id) return { id = id, proxy = hearth.proxy(id) } end
function C.expose:through(id) return hearth.proxy("demo.helper"):give(id) end
function C.expose:call_received(p) return hearth.proxy(p):whoami() end

function C.expose:seen()
  local c = hearth.call()
  return { annotations = c.annotations, handshake = c.handshake }
end
function C.expose:annotate(id, value)
  hearth.annotate(id, value)
  return value
end
function C.expose:annotate_and_fail(id)
  hearth.annotate(id, "x")
  error("failed")
end
function C.expose:seen_by_helper() return hearth.proxy("demo.helper"):seen() end

function C.expose:blob(b)
  local blob = hearth.call().blob
  return { kind = hearth.typeof(b), info = blob and blob.info, format = blob and blob.format, data = b }
end

function C.oneway:note(n) self.order[#self.order + 1] = n end
function C.expose:noted()
  local all = self.order
  self.order = {}
  return all
end

function C.expose:__len__() return #self.items end
function C.expose:__getitem__(i)
  return self.items[i + 1] or error(hearth.exception("IndexError", "position " .. i))
end
function C.expose:__setitem__(i, v) self.items[i + 1] = v end
function C.expose:__contains__(v)
  for _, x in ipairs(self.items) do
    if x == v then return true end
  end
  return false
end
function C.expose:__iter__()
  local i = 0
  return hearth.stream(function()
    i = i + 1
    return self.items[i]
  end)
end

return C
