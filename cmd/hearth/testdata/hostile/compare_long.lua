-- expect: error ~"limit exceeded"
local O = hearth.object {}
function O.expose:attack()
  local a, b = ("x"):rep(2 ^ 20) .. "a", ("x"):rep(2 ^ 20) .. "a"
  while true do if a <= b and a == b and not (a < b) then end end
end
return O
