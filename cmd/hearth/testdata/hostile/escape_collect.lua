-- call: me attack -> result true
-- call: me attack -> result true
-- call: me twin.grow -> result 30000000
-- call: me other.grow -> result 30000000
-- call: me attack -> result true
local O = hearth.object { instance = "single" }
-- What a script is told about memory is about its own.
function O.expose:attack()
  for _, what in ipairs { "collect", "stop", "restart", "step", "setpause", "setstepmul" } do collectgarbage(what, 1e9) end
  local n, odd = collectgarbage("count"), pcall(collectgarbage, "generational")
  local grown = n - (self.n or n)
  self.n = n
  return not odd and grown < 1000 and math.abs(gcinfo() - n) < 100
end
function O.expose:grow()
  self.held = ("x"):rep(3e7)
  return #self.held
end
return O
