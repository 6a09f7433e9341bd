-- expect: error ~"limit exceeded: 50000000 steps; the call was executed in part"
local O = hearth.object {}
function O.expose:attack()
  return (("a"):rep(5000)):find(("a*"):rep(50).."b")
end
return O
