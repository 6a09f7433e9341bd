-- Accounts in cents. Every permitted caller may book on them.
local store = hearth.store

local Ledger = hearth.object {
  doc = "Keeps accounts. Entries and balances are on disk before book returns.",
  instance = "single",
}

-- Books an amount, with the calling principal, and returns the new balance.
function Ledger.expose:book(account, amount)
  local n = store.increment("entries")
  local entry = { account = account, amount = amount, by = hearth.caller().principal }
  store.put(("entry/%d/%s/%012d"):format(#account, account, n), entry)
  return store.increment("balance/" .. account, amount)
end

-- Returns the balance of an account.
function Ledger.expose:balance(account)
  return store.get("balance/" .. account) or 0
end

-- Streams the entries of an account.
function Ledger.expose:statement(account)
  local next = store.list { prefix = ("entry/%d/%s/"):format(#account, account) }
  return hearth.stream(function()
    local _, entry = next()
    return entry
  end)
end

return Ledger
