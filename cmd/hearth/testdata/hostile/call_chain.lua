-- expect: error ~"limit exceeded"
local O = hearth.object {}
function O.expose:attack()
  local f = function() return true end
  for _ = 1, 1000 do f = setmetatable({}, { __call = f }) end
  while true do if pcall(f) then return "called" end end
end
return O
