-- expect: error ~"loop in gettable"
local O = hearth.object {}
function O.expose:attack()
  do local t={} setmetatable(t,{__index=t}) return t.x end
end
return O
