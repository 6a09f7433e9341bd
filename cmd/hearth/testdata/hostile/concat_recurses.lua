-- expect: error ~"limit exceeded"
local O = hearth.object {}
function O.expose:attack()
  local t = setmetatable({}, {})
  getmetatable(t).__concat = function(a, b) return a .. b end
  getmetatable(t).__len = function(a) return #a .. a end
  getmetatable(t).__unm = function(a) return -a end
  while true do pcall(function() return t .. t .. t end) pcall(function() return -t end) end
end
return O
