-- call: me attack "cycle" -> error ~"."
-- call: me attack "deep" -> error ~"."
-- call: me attack "huge" -> error ~"."
-- call: me attack "class" -> error ~"."
-- call: me attack "changed" -> error ~"."
local O = hearth.object {}
function O.expose:attack(how)
  local e, t = hearth.exception("ValueError", "x"), {}
  if how == "cycle" then t[1] = t e.args[1] = t end
  if how == "deep" then for _ = 1, 1e5 do t = { t } end e = hearth.exception("ValueError", t) end
  if how == "huge" then e = hearth.exception("ValueError", ("x"):rep(3e7), ("y"):rep(3e7)) end
  if how == "class" then e = hearth.exception("os.system\n\27[2J", "x") end
  if how == "changed" then e.class, e.args, e.message = t, print, {} end
  error(e)
end
return O
