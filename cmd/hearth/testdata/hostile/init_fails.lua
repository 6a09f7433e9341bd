-- call: alice attack -> error ~"^[^\\x00-\\x09\\x0b-\\x1f]*error object is a table[^\\x00-\\x1f]*$"
-- call: bob attack -> error ~"error object is a table"
local O = hearth.object { instance = "single" }
function O:init()
  error(setmetatable({ "\27[2J" }, { __tostring = function() while true do end end, __index = error, __concat = error }))
end
function O.expose:attack() return "reached" end
return O
