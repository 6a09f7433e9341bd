-- expect: error ~"bad argument #1 to error \\(value expected\\)"
local O = hearth.object {}
function O.expose:attack()
  do error() end
end
return O
