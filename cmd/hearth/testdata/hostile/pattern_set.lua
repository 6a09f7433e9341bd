-- expect: error ~"limit exceeded"
local O = hearth.object {}
function O.expose:attack()
  local p = "a*[" .. ("b"):rep(1e7) .. "]"
  while true do string.find("", p) end
end
return O
