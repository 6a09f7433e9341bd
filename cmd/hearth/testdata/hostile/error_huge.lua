-- expect: error ~"x{1000}"
local O = hearth.object {}
function O.expose:attack() error(("x"):rep(3e7)) end
return O
