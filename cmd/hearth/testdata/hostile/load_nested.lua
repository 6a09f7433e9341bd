-- expect: error ~"limit exceeded"
local O = hearth.object {}
function O.expose:attack()
  local s = ("return function() "):rep(190) .. ("end "):rep(190)
  while true do loadstring(s) end
end
return O
