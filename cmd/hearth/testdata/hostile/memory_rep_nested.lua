-- expect: error ~"resulting string too large"
local O = hearth.object {}
function O.expose:attack()
  return #(("x"):rep(1e5)):rep(1e5)
end
return O
