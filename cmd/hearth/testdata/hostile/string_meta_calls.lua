-- expect: error ~"limit exceeded"
local O = hearth.object {}
function O.expose:attack()
  local mt = getmetatable("")
  mt.__index = function(s, k) return s[k .. "x"] end
  mt.__add = function(a, b) return a + b end
  mt.__call = function(s, ...) return s(...) end
  while true do pcall(function() return ("x").y end) pcall(function() return "x" + "y" end) pcall(function() return ("x")() end) end
end
return O
