-- expect: error ~"limit exceeded"
local O = hearth.object {}
function O.expose:attack()
  do return tostring(setmetatable({},{__tostring=function() while true do end end})) end
end
return O
