-- expect: error ~"limit exceeded"
local O = hearth.object {}
function O.expose:attack()
  do local a,b function a() return b() end function b() return a() end a() end
end
return O
