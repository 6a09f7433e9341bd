-- expect: error ~"bad argument #1 to 'exception' \\(class name expected, such as ValueError or shop.OutOfStock\\)"
local O = hearth.object {}
function O.expose:attack()
  do error(hearth.exception("A\nB","x")) end
end
return O
