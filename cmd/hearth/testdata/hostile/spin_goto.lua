-- expect: error ~"limit exceeded"
local O = hearth.object {}
function O.expose:attack()
  do ::a:: goto a end
end
return O
