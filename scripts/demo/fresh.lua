-- Each call has a new instance: its state is lost after the call.
local Fresh = hearth.object {
  doc = "Loses its state after each call.",
  instance = "call",
}

function Fresh:init()
  self.visits = 0
end

-- Counts the visits, and therefore always returns 1.
function Fresh.expose:visit()
  self.visits = self.visits + 1
  return self.visits
end

return Fresh
