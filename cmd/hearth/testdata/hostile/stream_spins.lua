-- stream: me attack -> error ~"limit exceeded"
-- stream: me attack -> error ~"limit exceeded"
-- call: me probe -> result clean
local O = hearth.object { instance = "single" }
function O.expose:attack()
  return hearth.stream(function() while true do pcall(error) end end)
end
function O.expose:probe() return "clean" end
return O
