-- Accounts in cents. Every permitted caller may book on them.
local Ledger = hearth.object {
  doc = "Keeps accounts.",
  instance = "single",
}

function Ledger:init()
  self.entries = {}
end

-- Books an amount, with the calling principal, and returns the new balance.
function Ledger.expose:book(account, amount)
  table.insert(self.entries, { account = account, amount = amount, by = hearth.caller().principal })
  return self:sum(account)
end

-- Returns the balance of an account.
function Ledger.expose:balance(account)
  return self:sum(account)
end

-- Streams the entries of an account.
function Ledger.expose:statement(account)
  local i = 0
  return hearth.stream(function()
    repeat
      i = i + 1
    until not self.entries[i] or self.entries[i].account == account
    return self.entries[i]
  end)
end

function Ledger:sum(account)
  local sum = 0
  for _, e in ipairs(self.entries) do
    if e.account == account then
      sum = sum + e.amount
    end
  end
  return sum
end

return Ledger
