-- expect: error ~"limit exceeded"
local O = hearth.object {}
function O.expose:attack()
  local b = hearth.bytes(("x"):rep(2e7))
  while true do local _ = b:base64() end
end
return O
