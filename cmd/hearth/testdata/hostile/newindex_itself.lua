-- expect: error ~"limit exceeded"
local O = hearth.object {}
function O.expose:attack()
  local t = setmetatable({}, {})
  getmetatable(t).__newindex = t
  getmetatable(t).__index = t
  local n = 0
  while true do
    if pcall(function() t.x = n end) or pcall(function() return t.y end) then return "no error" end
  end
end
return O
