-- expect: error ~"limit exceeded"
local O = hearth.object {}
function O.expose:attack()
  local n, t = 0, { doc = ("d"):rep(1e6) }
  while true do pcall(hearth.object, t) n = n + 1 end
end
return O
