-- Greets people: positional and keyword arguments, a default, and a module in lib/.
local util = require "util"

local Greeter = hearth.object {
  doc = "Says hello, politely if asked.",
  instance = "call",
}

--- Returns a greeting.
---@param name string
---@param greeting? string the word to begin with, "Hello" if not given
---@return string
function Greeter.expose:hello(name, greeting)
  return (greeting or "Hello") .. ", " .. util.trim(name) .. "!"
end

-- Returns the caller as the host has verified it.
function Greeter.expose:whoami()
  return hearth.caller().principal
end

return Greeter
