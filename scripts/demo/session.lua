-- Each connection has a separate instance, which ends with the connection.
local Session = hearth.object {
  doc = "Remembers things for one connection.",
  instance = "session",
}

function Session:init()
  self.visits = 0
end

-- Counts the visits over this connection.
function Session.expose:visit()
  self.visits = self.visits + 1
  return self.visits
end

return Session
