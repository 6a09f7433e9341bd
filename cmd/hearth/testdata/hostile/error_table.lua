-- expect: error ~"\\(error object is a table\\)"
local O = hearth.object {}
function O.expose:attack()
  do error({}) end
end
return O
