-- expect: error ~"limit exceeded"
local O = hearth.object {}
function O.expose:attack()
  do for i=1,math.huge do end end
end
return O
