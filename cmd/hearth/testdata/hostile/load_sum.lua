-- expect: error ~"limit exceeded"
local O = hearth.object {}
function O.expose:attack()
  local s = "return " .. ("x+"):rep(29000) .. "x"
  while true do loadstring(s) end
end
return O
