-- expect: error ~"C stack overflow"
local O = hearth.object {}
function O.expose:attack()
  do local t={} setmetatable(t,{__tostring=function(t) return tostring(t) end}) return tostring(t) end
end
return O
