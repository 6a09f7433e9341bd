-- expect: result 0
local O = hearth.object {}
function O.expose:attack()
  local n = 0
  for _ = 1, 1e5 do
    getmetatable(newproxy(true)).__gc = function() n = n + 1 while true do end end
  end
  collectgarbage()
  return n
end
return O
