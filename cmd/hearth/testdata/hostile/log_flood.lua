-- expect: error ~"limit exceeded"
local O = hearth.object {}
function O.expose:attack()
  do while true do hearth.log.info(("x"):rep(9000)) end end
end
return O
