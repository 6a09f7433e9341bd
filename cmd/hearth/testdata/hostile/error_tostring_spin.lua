-- expect: error ~"\\(error object is a table\\)"
local O = hearth.object {}
function O.expose:attack()
  do error(setmetatable({},{__tostring=function() while true do end end})) end
end
return O
