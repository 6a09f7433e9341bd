-- expect: error ~"limit exceeded"
local O = hearth.object {}
function O.expose:attack()
  local s, n = ("x"):rep(1e6), 0
  while true do n = n + 1 pcall(hearth.secret, s) pcall(hearth.secret, "s" .. n) pcall(hearth.secret, "../x") end
end
return O
