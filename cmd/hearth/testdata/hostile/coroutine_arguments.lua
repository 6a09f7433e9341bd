-- expect: error ~"limit exceeded"
local O = hearth.object {}
function O.expose:attack()
  local t = {}
  for i = 1, 7900 do t[i] = i end
  local co = coroutine.wrap(function(...) while true do coroutine.yield(...) end end)
  while true do co(unpack(t)) end
end
return O
