-- stream: me attack "memory" -> error ~"limit exceeded"
-- stream: me attack "cycle" -> error ~"."
-- stream: me attack "self" -> error ~"."
-- stream: me attack "error" -> error ~"error object is a table"
-- stream: me attack "again" -> error ~"."
-- call: me probe -> result clean
local O = hearth.object { instance = "single" }
function O.expose:attack(how)
  local s
  s = hearth.stream(function()
    local t = {}
    if how == "memory" then while true do t[#t + 1] = { #t } end end
    if how == "cycle" then t[1] = t return t end
    if how == "self" then return s end
    if how == "error" then error(setmetatable({}, { __tostring = function() while true do end end })) end
    return hearth.stream(print)
  end)
  return s
end
function O.expose:probe() return "clean" end
return O
