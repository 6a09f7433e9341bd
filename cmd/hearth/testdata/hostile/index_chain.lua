-- expect: error ~"limit exceeded"
local O = hearth.object {}
function O.expose:attack()
  local t = {}
  for i = 1, 1e5 do t = setmetatable({}, { __index = t, __newindex = t }) end
  while true do pcall(function() return t.x end) pcall(function() t.x = 1 end) end
end
return O
