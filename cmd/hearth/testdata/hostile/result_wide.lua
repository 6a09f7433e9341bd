-- call: me attack -> error ~"."
-- call: me attack "dict" -> error ~"."
-- call: me attack "empty" -> error ~"."
local O = hearth.object {}
function O.expose:attack(how)
  local t, e = {}, {}
  for i = 1, 1.5e6 do t[how == "dict" and "k" .. i or i] = how == "empty" and e or i end
  return t
end
return O
