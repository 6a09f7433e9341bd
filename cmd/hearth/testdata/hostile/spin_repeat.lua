-- expect: error ~"limit exceeded"
local O = hearth.object {}
function O.expose:attack()
  do repeat until false end
end
return O
