-- expect: error ~"limit exceeded"
local O = hearth.object {}
function O.expose:attack()
  do return (("a"):gsub("a",function() while true do end end)) end
end
return O
