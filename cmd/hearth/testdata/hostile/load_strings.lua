-- call: me attack -> result 10
-- call: me attack -> result 20
-- call: me attack -> result 30
-- call: me attack -> result 40
-- call: me attack -> either ~"^[0-9]+$|64 MiB of memory"
-- call: me attack -> either ~"^[0-9]+$|64 MiB of memory"
-- call: me attack -> either ~"^[0-9]+$|64 MiB of memory"
local O = hearth.object { instance = "single" }
local kept = {}
-- The strings of compiled code that is gone.
function O.expose:attack()
  for _ = 1, 10 do kept[#kept + 1] = loadstring("return '" .. ("x"):rep(1e6) .. #kept .. "'")() end
  return #kept
end
return O
