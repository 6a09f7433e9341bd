-- expect: error ~"limit exceeded"
local O = hearth.object {}
function O.expose:attack()
  do local t={} for i=1,100 do t[i]=i end table.sort(t,function() while true do end end) end
end
return O
