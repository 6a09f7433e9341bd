-- expect: error ~"stack overflow"
local O = hearth.object {}
function O.expose:attack()
  do local function f() return 1+f() end return f() end
end
return O
