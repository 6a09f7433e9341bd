-- expect: error ~"resulting string too large"
local O = hearth.object {}
function O.expose:attack()
  do local t={} local s=("x"):rep(1e6) for i=1,1000 do t[i]=s end return #table.concat(t) end
end
return O
