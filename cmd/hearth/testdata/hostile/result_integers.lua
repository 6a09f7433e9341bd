-- expect: error ~"more than 8388608 bytes"
-- Many references to one integer of 4300 digits: 4 GB of text.
local O = hearth.object {}
function O.expose:attack()
  local one, t = hearth.int(("9"):rep(4300)), {}
  for i = 1, 999000 do t[i] = one end
  return t
end
return O
