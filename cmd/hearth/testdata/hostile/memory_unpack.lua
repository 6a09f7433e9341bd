-- expect: error ~"too many results to unpack \\(at most 8000\\)"
local O = hearth.object {}
function O.expose:attack()
  return select("#",unpack({},1,1e8))
end
return O
