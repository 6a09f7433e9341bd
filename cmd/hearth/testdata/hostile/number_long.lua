-- expect: error ~"limit exceeded"
local O = hearth.object {}
function O.expose:attack()
  local s = ("9"):rep(30 * 2 ^ 20)
  while true do tonumber(s) tonumber(s, 16) math.floor(s) local _ = s + 1 for i = s, 1 do end end
end
return O
