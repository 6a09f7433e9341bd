-- expect: error ~"limit exceeded: 64 MiB of memory; the call was executed in part"
local O = hearth.object {}
function O.expose:attack()
  do local t={} local i=0 while true do i=i+1 t["k"..i]=i end end
end
return O
