-- expect: error ~"limit exceeded"
local O = hearth.object {}
function O.expose:attack()
  local f = ("%U%V%W%G%g%j%c%x%X%Z"):rep(1000)
  while true do os.date(f) os.date("*t", 2 ^ 35) os.time { year = 2 ^ 30, month = -2 ^ 30, day = 2 ^ 30 } end
end
return O
