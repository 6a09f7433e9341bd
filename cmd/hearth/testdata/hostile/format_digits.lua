-- expect: error ~"limit exceeded"
local O = hearth.object {}
function O.expose:attack()
  local f, t = ("%99.99f"):rep(100), {}
  for i = 1, 100 do t[i] = 1.7e308 end
  while true do f:format(unpack(t)) end
end
return O
