-- expect: error ~"limit exceeded"
local O = hearth.object {}
function O.expose:attack()
  local b = hearth.bytes("x")
  while true do local ok, v = pcall(function() return b .. b end) b = ok and v or hearth.bytes("x") end
end
return O
