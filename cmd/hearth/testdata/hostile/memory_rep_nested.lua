-- expect: error ~"resulting string too long \\(at most 33554432 bytes\\)"
local O = hearth.object {}
function O.expose:attack()
  return #(("x"):rep(1e5)):rep(1e5)
end
return O
