-- expect: error ~"limit exceeded"
local O = hearth.object {}
function O.expose:attack()
  local t = {}
  for i = 1, 1e6 do t[i] = i end
  while true do local _ = hearth.list(t), hearth.tuple(t), hearth.set(t), hearth.dict(t), hearth.kw(t) end
end
return O
