-- expect: error ~"limit exceeded"
local O = hearth.object {}
function O.expose:attack()
  local f, s, t = ("%s%q"):rep(3900), ("x\0\n"):rep(1000), {}
  for i = 1, 7800 do t[i] = s end
  while true do pcall(string.format, f, unpack(t)) end
end
return O
