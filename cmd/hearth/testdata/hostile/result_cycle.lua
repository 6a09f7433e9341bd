-- expect: error ~"result\\.t is a table that contains itself"
local O = hearth.object {}
function O.expose:attack()
  do local t={} t.t=t return t end
end
return O
