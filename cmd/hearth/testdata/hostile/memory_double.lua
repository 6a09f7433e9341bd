-- expect: error ~"string length overflow"
local O = hearth.object {}
function O.expose:attack()
  do local s="x" while true do s=s..s end end
end
return O
