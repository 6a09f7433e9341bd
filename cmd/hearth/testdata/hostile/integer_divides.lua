-- expect: error ~"limit exceeded"
local O = hearth.object {}
function O.expose:attack()
  local a, b = hearth.int(("9"):rep(4300)), hearth.int(("7"):rep(2150))
  while true do local _ = a / b, a % b, a:idiv(b), tonumber(a), a < b, a == b, a - b end
end
return O
