-- beside: me attack -> error ~"limit exceeded"
-- beside: alice attack -> error ~"limit exceeded"
-- call: me other.echo "x" -> result x
local O = hearth.object { instance = "call" }
function O.expose:attack()
  local s = ("\27]0;x\7\r\n"):rep(1000)
  while true do print(s) hearth.log.error(s, s, s) end
end
function O.expose:echo(v) return v end
return O
