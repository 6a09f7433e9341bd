-- expect: error ~"limit exceeded"
-- The border of this table is searched from 1 on.
local O = hearth.object {}
function O.expose:attack()
  local t = {}
  for i = 1, 2 ^ 18 + 1 do t["k" .. i] = true end
  for i = 1, 2 ^ 18 + 1 do t["k" .. i] = nil end
  local n = 2 ^ 17
  for i = n, 1, -1 do t[i] = i end
  local p = 1
  while p <= 2 ^ 31 do t[p] = p; p = p * 2 end
  while true do local _ = #t end
end
return O
