-- expect: error ~"limit exceeded"
local O = hearth.object {}
function O.expose:attack()
  do local m={__eq=function() while true do end end} return setmetatable({},m)==setmetatable({},m) end
end
return O
