-- expect: error ~"too many results to unpack"
local O = hearth.object {}
function O.expose:attack()
  return select("#",unpack({},1,1e8))
end
return O
