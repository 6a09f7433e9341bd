-- expect: error ~"limit exceeded"
local O = hearth.object {}
function O.expose:attack()
  local s, r = ("x"):rep(1e6), ("y"):rep(30)
  while true do pcall(string.gsub, s, "", r) end
end
return O
