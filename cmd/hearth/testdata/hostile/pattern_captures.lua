-- expect: error ~"too many captures"
local O = hearth.object {}
function O.expose:attack()
  return ("x"):find(("()"):rep(100))
end
return O
