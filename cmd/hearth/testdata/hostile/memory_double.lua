-- expect: error ~"a text of 67108864 bytes is too long \\(at most 33554432\\)"
local O = hearth.object {}
function O.expose:attack()
  do local s="x" while true do s=s..s end end
end
return O
