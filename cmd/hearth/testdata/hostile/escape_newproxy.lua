-- expect: result true
local O = hearth.object {}
function O.expose:attack()
  return newproxy==nil
end
return O
