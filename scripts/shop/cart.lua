-- A shopping cart for each user: the cart of alice is the object shop.cart:alice.
local Cart = hearth.object {
  doc = "A cart for each user.",
  instance = "keyed",
}

function Cart:init(user, state)
  self.user = user
  self.items = state and state.items or {}
end

-- Keeps the items when the script changes.
function Cart:handover() return { items = self.items } end

-- Adds n of an item and returns their number in the cart.
---@param item string
---@param n integer
---@return integer
function Cart.expose:add(item, n)
  self.items[item] = (self.items[item] or 0) + n
  return self.items[item]
end

-- The items with their numbers.
function Cart.get:items() return self.items end

return Cart
