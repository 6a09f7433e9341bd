-- stream: me attack -> result [1 2 3]
-- stream: me attack -> error ~"."
-- call: me attack -> error ~"."
local O = hearth.object { instance = "single" }
function O.expose:attack()
  local n = 0
  self.s = self.s or hearth.stream(function() n = n + 1 if n <= 3 then return n end end)
  return self.s
end
return O
