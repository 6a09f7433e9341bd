-- expect: error ~"limit exceeded"
local O = hearth.object {}
function O.expose:attack()
  local s = ("while x do if x then break end end "):rep(20000)
  while true do loadstring(s) end
end
return O
