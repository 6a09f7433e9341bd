-- expect: error ~"limit exceeded"
local O = hearth.object {}
function O.expose:attack()
  do while true do pcall(error,"x") end end
end
return O
