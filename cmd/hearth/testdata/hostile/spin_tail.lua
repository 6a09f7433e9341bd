-- expect: error ~"limit exceeded"
local O = hearth.object {}
function O.expose:attack()
  do local function f() return f() end f() end
end
return O
