-- expect: error ~"table index is NaN"
local O = hearth.object {}
function O.expose:attack()
  do local t={} t[0/0]=1 return t end
end
return O
