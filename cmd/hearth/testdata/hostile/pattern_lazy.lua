-- expect: error ~"limit exceeded: 50000000 steps; the call was executed in part"
local O = hearth.object {}
function O.expose:attack()
  return (("a"):rep(300)):find(".-.-.-.-.-.-b")
end
return O
