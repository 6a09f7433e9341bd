-- Sells what the stock has, and books it with the bank, which belongs to somebody else:
-- the policy lets this very object, "object:shop.till", do that and nothing more.
local Till = hearth.object {
  doc = "Sells from shop.stock and books on bank.ledger.",
  instance = "call",
}

-- Whether v is a whole number; neither infinity nor what is no number at all is one.
local function whole(v)
  return type(v) == "number" and v == math.floor(v) and v < 2^53
end

-- Sells n of an item at a price in cents each, and returns what was taken.
function Till.expose:sell(item, n, price)
  if not whole(n) or n < 1 or not whole(price) or price < 0 then
    error(hearth.exception("ValueError", "sell(item, n, price): whole numbers, n from 1 up, price from 0 up"))
  end
  hearth.proxy("shop.stock"):take(item, n)
  hearth.proxy("bank.ledger"):book("shop", n * price)
  return n * price
end

return Till
