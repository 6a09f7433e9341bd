-- call: me attack -> result 3
-- call: me attack -> result 6
-- call: me attack -> result 9
-- call: me attack -> result 12
-- call: me attack -> result 15
-- call: me attack -> result 18
-- call: me attack -> result 21
-- call: me attack -> result 24
-- call: me attack -> result 27
local O = hearth.object { instance = "single" }
local kept = {}
-- The names of the chunks are cut out of texts of 20 MB.
function O.expose:attack()
  for _ = 1, 3 do kept[#kept + 1] = loadstring("return 1", "=" .. ("x"):rep(20e6) .. #kept) end
  return #kept
end
return O
