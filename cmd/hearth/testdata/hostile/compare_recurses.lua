-- expect: error ~"limit exceeded"
-- Without __le, a <= b is not b < a.
local O = hearth.object {}
function O.expose:attack()
  local mt = {}
  local a, b = setmetatable({}, mt), setmetatable({}, mt)
  mt.__lt = function(x, y) return y <= x end
  mt.__eq = function(x, y) return x == y or y == x end
  while true do pcall(function() return a <= b end) pcall(function() return a == b end) end
end
return O
