-- expect: error ~"limit exceeded"
local O = hearth.object {}
function O.expose:attack()
  do local t=setmetatable({},{__newindex=function() while true do end end}) t.x=1 end
end
return O
