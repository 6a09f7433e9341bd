-- expect: error ~"result\\[1\\]\\[1\\]\\[1\\]"
local O = hearth.object {}
function O.expose:attack()
  do local t={} for i=1,1e5 do t={t} end return t end
end
return O
