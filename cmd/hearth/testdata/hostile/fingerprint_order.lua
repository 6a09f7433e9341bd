-- call: alice attack -> result a b c d e f 1 2 3
-- call: bob twin.attack -> result a b c d e f 1 2 3
-- call: me other.attack -> result a b c d e f 1 2 3
local O = hearth.object { instance = "call" }
-- The order of a table's keys is that in which they came, and depends on nothing else.
function O.expose:attack()
  local t, out = {}, {}
  for k in ("abcdef123"):gmatch(".") do t[k] = true end
  for k in pairs(t) do out[#out + 1] = k end
  return table.concat(out, " ")
end
return O
