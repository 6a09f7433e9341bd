-- expect: error ~"limit exceeded"
local O = hearth.object {}
function O.expose:attack()
  do local t=setmetatable({},{__concat=function() while true do end end}) return t.."x" end
end
return O
