-- expect: error ~"limit exceeded"
local O = hearth.object {}
function O.expose:attack()
  local s = "x = = '" .. ("y"):rep(1e6 - 100) .. "'"
  local t = "x = '" .. ("y"):rep(1e6 - 100) .. "' = "
  while true do loadstring(s) loadstring(t) end
end
return O
