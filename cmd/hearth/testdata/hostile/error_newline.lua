-- expect: error ~"a"
local O = hearth.object {}
function O.expose:attack()
  do error("a\nb\27[31m") end
end
return O
