-- expect: error ~"limit exceeded"
local O = hearth.object {}
function O.expose:attack()
  local s = ("a"):rep(3e5)
  while true do s:find("(a*)%1%1%1b") end
end
return O
