-- expect: error ~"."
local O = hearth.object {}
function O.expose:attack()
  do error("\255\254") end
end
return O
