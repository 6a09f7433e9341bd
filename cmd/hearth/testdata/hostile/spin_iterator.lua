-- expect: error ~"limit exceeded"
local O = hearth.object {}
function O.expose:attack()
  do for _ in function() return 1 end do end end
end
return O
