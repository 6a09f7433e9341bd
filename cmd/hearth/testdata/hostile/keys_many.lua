-- expect: error ~"limit exceeded"
local O = hearth.object {}
function O.expose:attack()
  local t = {}
  while true do
    for i = 1, 1e5 do t["some rather long key number " .. i .. math.random()] = i end
    t = {}
  end
end
return O
