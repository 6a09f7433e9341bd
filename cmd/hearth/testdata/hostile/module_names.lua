-- expect: error ~"limit exceeded"
local O = hearth.object {}
function O.expose:attack()
  local n = 0
  while true do
    n = n + 1
    package.preload["m" .. n] = function() return n end
    require("m" .. n)
    pcall(require, ("x"):rep(1e6))
    pcall(require, "lib.shared.." .. n)
  end
end
return O
