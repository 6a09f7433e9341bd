-- expect: error ~"limit exceeded"
local O = hearth.object {}
function O.expose:attack()
  local s = ("x"):rep(7990)
  while true do string.char(s:byte(1, -1)) hearth.bytes(s):byte(1, -1) end
end
return O
