-- expect: error ~"call each other too deep"
local O = hearth.object {}
function O.expose:attack()
  do while true do self:attack() end end
end
return O
