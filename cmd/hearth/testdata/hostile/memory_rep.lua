-- expect: error ~"resulting string too long \\(at most 33554432 bytes\\)"
local O = hearth.object {}
function O.expose:attack()
  return #("x"):rep(4e9)
end
return O
