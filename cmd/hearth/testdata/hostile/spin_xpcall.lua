-- expect: error ~"limit exceeded"
local O = hearth.object {}
function O.expose:attack()
  do while true do xpcall(function() while true do end end, function() while true do end end) end end
end
return O
