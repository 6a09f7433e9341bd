-- expect: error ~"resulting string too large"
local O = hearth.object {}
function O.expose:attack()
  return #(("x"):rep(1e6)):gsub("x",("y"):rep(1e6))
end
return O
