-- expect: error ~"limit exceeded|too large"
-- A format of 2 bytes makes a text of 24.
local O = hearth.object {}
function O.expose:attack()
  local f = ("%c"):rep(15e6)
  return #os.date(f)
end
return O
