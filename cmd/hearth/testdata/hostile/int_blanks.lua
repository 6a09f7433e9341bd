-- expect: error ~"limit exceeded"
local O = hearth.object {}
function O.expose:attack()
  local s, one = (" "):rep(30 * 2 ^ 20) .. "1", hearth.int(1)
  while true do local _ = one + s end
end
return O
