-- expect: error ~"limit exceeded"
-- The error is raised thousands of calls deep in the matcher.
local O = hearth.object {}
function O.expose:attack()
  local s, p = ("a"):rep(4990), ("a?"):rep(4990) .. "%"
  while true do pcall(string.find, s, p) end
end
return O
