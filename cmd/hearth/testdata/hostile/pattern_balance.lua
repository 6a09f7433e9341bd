-- expect: error ~"limit exceeded"
local O = hearth.object {}
function O.expose:attack()
  do local s=("("):rep(1e6) while true do s:find("%b()") end end
end
return O
