-- Greets people: positional and keyword arguments, a default, and a module in lib/.
local util = require "util"

local Greeter = hearth.object {
  doc = "Says hello, politely if asked.",
  instance = "call",
}

-- Greets name. Keywords: greeting, the word to begin with ("Hello" if not given).
function Greeter.expose:hello(name, options)
  if type(name) ~= "string" then
    error(hearth.exception("TypeError", "hello() needs a name"))
  end
  local greeting = type(options) == "table" and options.greeting or "Hello"
  return greeting .. ", " .. util.trim(name) .. "!"
end

-- Returns the caller as the host has verified it.
function Greeter.expose:whoami()
  return hearth.caller().principal
end

return Greeter
