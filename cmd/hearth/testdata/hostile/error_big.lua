-- expect: error ~"xxxxxxxxxx"
local O = hearth.object {}
function O.expose:attack()
  do error(("x"):rep(3e7)) end
end
return O
