-- expect: error ~"limit exceeded"
-- A small hash fills up beside a large array, again and again.
local O = hearth.object {}
function O.expose:attack()
  local t = {}
  for i = 1, 1e6 do t[i] = i end
  local n = 0
  while true do
    n = n + 1
    local k = "k" .. n
    t[k] = 1
    t[k] = nil
  end
end
return O
