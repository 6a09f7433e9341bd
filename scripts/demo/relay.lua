-- Calls another object. It is authorised as this object ("object:demo.relay"), never
-- as its caller, so the policy needs a rule that permits it.
local Relay = hearth.object {
  doc = "Passes calls on to demo.counter.",
  instance = "call",
}

-- Adds k to demo.counter and returns the new total.
function Relay.expose:add(k)
  return hearth.proxy("demo.counter"):add(k)
end

return Relay
