-- call: me attack 1 -> error ~"."
-- call: me attack 2 -> error ~"."
-- call: me attack 3 -> error ~"."
local O = hearth.object {}
function O.expose:attack(n)
  if n == 1 then return { [{}] = 1 } end
  if n == 2 then return { [print] = 1 } end
  return { ["\255\254"] = 1 }
end
return O
