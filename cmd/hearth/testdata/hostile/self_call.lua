-- expect: error ~"stack overflow"
local O = hearth.object {}
function O.expose:attack()
  do while true do self:attack() end end
end
return O
