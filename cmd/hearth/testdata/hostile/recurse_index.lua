-- expect: error ~"C stack overflow"
local O = hearth.object {}
function O.expose:attack()
  do local t={} setmetatable(t,{__index=function(t,k) return t[k] end}) return t.x end
end
return O
