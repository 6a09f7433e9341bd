-- beside: me attack -> error ~"limit exceeded"
-- beside: alice attack -> error ~"limit exceeded"
-- beside: bob attack -> error ~"limit exceeded"
-- call: me other.echo "x" -> result x
local O = hearth.object { instance = "call" }
function O.expose:attack() while true do local _ = ("x"):rep(30 * 2 ^ 20) end end
function O.expose:echo(v) return v end
return O
