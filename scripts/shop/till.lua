-- Sells what the stock has, and books it with the bank, which belongs to somebody else:
-- the policy lets this very object, "object:shop.till", do that and nothing more.
local Till = hearth.object {
  doc = "Sells from shop.stock and books on bank.ledger.",
  instance = "call",
}

-- Sells n of an item at a price in cents each, and returns what was taken.
function Till.expose:sell(item, n, price)
  if type(n) ~= "number" or n < 1 or type(price) ~= "number" or price < 0 then
    error(hearth.exception("ValueError", "sell(item, n, price): n from 1 up, price from 0 up"))
  end
  hearth.proxy("shop.stock"):take(item, n)
  hearth.proxy("bank.ledger"):book("shop", n * price)
  return n * price
end

return Till
