-- beside: me attack -> error ~"limit exceeded"
-- stream: alice endless -> result ~"^.1 2 3"
-- stream: bob spin -> error ~"limit exceeded"
-- call: me echo "x" -> result x
-- call: me other.echo "x" -> result x
local O = hearth.object { instance = "call" }
function O.expose:spin() return hearth.stream(function() while true do end end) end
function O.expose:attack() while true do hearth.stream(print) end end
function O.expose:endless()
  local n = 0
  return hearth.stream(function() n = n + 1 return n end)
end
function O.expose:echo(v) return v end
return O
