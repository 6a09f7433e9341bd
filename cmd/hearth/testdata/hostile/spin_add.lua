-- expect: error ~"limit exceeded"
local O = hearth.object {}
function O.expose:attack()
  do local t=setmetatable({},{__add=function() while true do end end}) return t+1 end
end
return O
