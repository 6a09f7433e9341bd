-- call: alice count -> result 1
-- call: bob count -> result 1
-- call: alice attack -> error ~"limit exceeded"
-- call: bob count -> result 2
-- call: alice count -> result 1
local O = hearth.object { instance = "session" }
function O.expose:count() self.n = (self.n or 0) + 1 return self.n end
function O.expose:attack() while true do end end
return O
