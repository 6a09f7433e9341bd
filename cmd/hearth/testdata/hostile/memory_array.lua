-- expect: error ~"limit exceeded: 64 MiB of memory; the call was executed in part"
local O = hearth.object {}
function O.expose:attack()
  do local t={} while true do t[#t+1]={} end end
end
return O
