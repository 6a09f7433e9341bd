-- expect: error ~"limit exceeded"
local O = hearth.object {}
function O.expose:attack()
  while true do
    local t = {}
    for i = 1, 1e5 do t[i] = { i } end
  end
end
return O
