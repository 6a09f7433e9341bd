-- expect: error ~"result is a function: only data can be sent"
local O = hearth.object {}
function O.expose:attack()
  return print
end
return O
