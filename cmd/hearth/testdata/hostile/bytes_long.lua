-- expect: error ~"limit exceeded"
local O = hearth.object {}
function O.expose:attack()
  local a, b = hearth.bytes(("x"):rep(2e7)), hearth.bytes(("x"):rep(2e7))
  while true do local _ = a == b, a <= b, #a end
end
return O
