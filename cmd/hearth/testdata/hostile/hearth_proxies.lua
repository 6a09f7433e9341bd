-- expect: error ~"limit exceeded"
local O = hearth.object {}
function O.expose:attack()
  local n, p = 0, hearth.proxy("demo.echo")
  while true do
    n = n + 1
    local _ = p["m" .. n], hearth.proxy("demo.x" .. n)
    pcall(hearth.proxy, ("x"):rep(1e6))
    pcall(function() return p[("x"):rep(1e6)] end)
  end
end
return O
