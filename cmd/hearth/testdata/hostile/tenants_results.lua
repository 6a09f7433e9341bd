-- beside: me attack -> result ~"^x{1000}"
-- beside: alice attack -> result ~"^x{1000}"
-- beside: bob attack -> result ~"^x{1000}"
-- call: me attack -> result ~"^x{1000}"
-- call: me attack -> result ~"^x{1000}"
-- call: me other.echo "x" -> result x
local O = hearth.object { instance = "call" }
function O.expose:attack() return ("x"):rep(8000000) end
function O.expose:echo(v) return v end
return O
