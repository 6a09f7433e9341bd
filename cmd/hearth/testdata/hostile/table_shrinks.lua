-- expect: error ~"limit exceeded"
local O = hearth.object {}
function O.expose:attack()
  local t = {}
  while true do
    for i = 1, 2e5 do t[i] = i end
    for i = 1, 2e5 do t[i] = nil end
    t.x = 1
    t.x = nil
  end
end
return O
