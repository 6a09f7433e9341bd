-- Sells items of the stock and books the sale in the bank, which belongs to another tenant:
-- the policy permits the object "object:shop.till" to do only that.
local Till = hearth.object {
  doc = "Sells from shop.stock and books on bank.ledger.",
  instance = "call",
}

-- Returns whether v is a whole number below 2^53. Callers check the lower bound.
local function whole(v)
  return type(v) == "number" and v == math.floor(v) and v < 2^53
end

-- Sells n of an item at a price in cents each, and returns the total price.
function Till.expose:sell(item, n, price)
  if not whole(n) or n < 1 or not whole(price) or price < 0 then
    error(hearth.exception("ValueError", "sell(item, n, price): whole numbers, n from 1 up, price from 0 up"))
  end
  hearth.proxy("shop.stock"):take(item, n)
  hearth.proxy("bank.ledger"):book("shop", n * price)
  return n * price
end

return Till
