-- expect: error ~"string slice too long"
local O = hearth.object {}
function O.expose:attack()
  return select("#",(("x"):rep(1e6)):byte(1,-1))
end
return O
