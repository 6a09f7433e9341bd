-- The object that the recorded conversations call, as far as Lua can say it: what
-- cannot (a result that no serializer takes, a generator's internals) is left out.
local Service = hearth.object { doc = "The object of the recordings.", instance = "single" }

function Service:init()
  self.v = 42
end

function Service.expose:echo(arg)
  return arg
end

function Service.expose:add(a, b, more)
  if type(a) == "table" or type(b) == "table" or more ~= nil then
    error(hearth.exception("TypeError", "add() takes a and b"))
  end
  if a == nil then
    error(hearth.exception("TypeError", "add() misses a"))
  end
  return a + (b or 10)
end

function Service.expose:nothing()
end

function Service.expose:fail()
  error(hearth.exception("ValueError", "the message", 42))
end

function Service.oneway:notify(msg)
end

function Service.oneway:notify_fail()
  error("nobody hears this")
end

function Service.expose:numbers()
  local i = 0
  return hearth.stream(function()
    i = i + 1
    if i <= 2 then return i end
  end)
end

function Service.get:value()
  return self.v
end

function Service.set:value(v)
  self.v = v
end

function Service.get:readonly()
  return "ro"
end

-- Methods that raise each of Pyro's own errors.
function Service.expose:lost() error(hearth.exception("ConnectionClosedError", "lost")) end
function Service.expose:late() error(hearth.exception("TimeoutError", "late")) end
function Service.expose:comm() error(hearth.exception("CommunicationError", "comm")) end
function Service.expose:proto() error(hearth.exception("ProtocolError", "proto")) end
function Service.expose:serr() error(hearth.exception("SerializeError", "serr")) end
function Service.expose:security() error(hearth.exception("SecurityError", "security")) end
function Service.expose:called_back() error(hearth.exception("ValueError", "called back")) end

-- A result and an error that no serializer can say.
Service.expose["function"] = function() return print or function() end end
function Service.expose:weird_error() error(hearth.exception("ValueError", function() end)) end

function Service.expose:lazy()
  return hearth.list { "a", "b" }
end

function Service.expose:big(n)
  return string.rep("x", n)
end

return Service
