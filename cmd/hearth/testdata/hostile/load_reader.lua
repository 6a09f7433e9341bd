-- expect: error ~"limit exceeded"
local O = hearth.object {}
function O.expose:attack()
  while true do load(function() return " " end) end
end
return O
