-- expect: error ~"limit exceeded"
local O = hearth.object {}
function O.expose:attack()
  local t = {}
  for i = 1, 3e5 do t["k" .. i] = 1 end
  for i = 1, 3e5 do t["k" .. i] = nil end
  while true do next(t) for _ in pairs(t) do end end
end
return O
