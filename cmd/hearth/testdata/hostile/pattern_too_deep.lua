-- expect: error ~"limit exceeded"
local O = hearth.object {}
function O.expose:attack()
  local s, p = ("a"):rep(1e4), ("a-"):rep(6000)
  while true do pcall(string.match, s, p .. "b") end
end
return O
