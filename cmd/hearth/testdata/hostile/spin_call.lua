-- expect: error ~"limit exceeded"
local O = hearth.object {}
function O.expose:attack()
  do local t=setmetatable({},{__call=function() while true do end end}) return t() end
end
return O
