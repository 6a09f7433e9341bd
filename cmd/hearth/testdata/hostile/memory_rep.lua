-- expect: error ~"resulting string too large"
local O = hearth.object {}
function O.expose:attack()
  return #("x"):rep(2e9)
end
return O
