-- call: alice attack -> result true
-- call: bob probe -> result true
local O = hearth.object { instance = "call" }
-- Which names somebody asked a proxy for must not show by which methods are the same twice.
function O.expose:attack()
  local p = hearth.proxy("demo.echo")
  for i = 1, 1000 do local _ = p["m" .. i] end
  return true
end
function O.expose:probe()
  local p = hearth.proxy("demo.echo")
  return rawequal(p.secret, p.secret)
end
return O
