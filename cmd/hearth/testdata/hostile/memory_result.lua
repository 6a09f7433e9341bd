-- expect: error ~"result\\[9\\] has more than 8388608 bytes in all"
local O = hearth.object {}
function O.expose:attack()
  do local s=("x"):rep(1e6) local t={} for i=1,100 do t[i]=s end return t end
end
return O
