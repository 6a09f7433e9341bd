-- beside: me attack -> error ~"limit exceeded"
-- beside: alice attack -> error ~"limit exceeded"
-- beside: bob attack -> error ~"limit exceeded"
-- call: me other.echo "x" -> result x
local O = hearth.object { instance = "call" }
function O.expose:attack()
  local t = {}
  for i = 1, 1e9 do t[i] = { i, { i }, tostring(i) } end
end
function O.expose:echo(v) return v end
return O
