-- Each call has its own instance: whatever it remembers is gone afterwards.
local Fresh = hearth.object {
  doc = "Forgets everything after each call.",
  instance = "call",
}

function Fresh:init()
  self.visits = 0
end

-- Counts the visits, and so always returns 1.
function Fresh.expose:visit()
  self.visits = self.visits + 1
  return self.visits
end

return Fresh
