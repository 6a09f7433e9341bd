-- expect: error ~"\\(error object is a function\\)"
local O = hearth.object {}
function O.expose:attack()
  do error(print) end
end
return O
