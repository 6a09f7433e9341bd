-- expect: error ~"limit exceeded"
-- The table of replacements asks for replacements.
local O = hearth.object {}
function O.expose:attack()
  local s, n = ("x"):rep(1e5), 0
  local t = setmetatable({}, { __index = function(t, k) n = n + 1 t[n] = k return (s:gsub("x", t, 3)) end })
  while true do pcall(function() s = (s:gsub("x+", t)) end) end
end
return O
