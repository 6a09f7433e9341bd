-- Records the events of a payment service. A webhook calls it: doc/webhooks.md has the block of the policy.
local Payments = hearth.object {
  doc = "Payments of orders, as a payment service reports them.",
  instance = "single", -- so that each event is executed once
}

-- Records the payment of an order. Other events are ignored.
function Payments.expose:on_event(body, event)
  local data = event.json
  if type(data) ~= "table" or data.type ~= "payment.succeeded" then return end
  if type(data.order) ~= "string" then
    error(hearth.exception("ValueError", "event " .. event.id .. " has no order"))
  end
  hearth.store.put("paid/" .. data.order, { event = event.id, cents = data.cents })
end

-- Returns the payment of an order, nil for none.
---@param order string
function Payments.expose:payment(order)
  return (hearth.store.get("paid/" .. order))
end

return Payments
