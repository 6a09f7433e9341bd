-- expect: error ~"limit exceeded"
local O = hearth.object {}
function O.expose:attack()
  for i = 1, 1e5 do
    package.preload["m" .. i] = function() return require("m" .. i % 1e5 + 1) end
  end
  while true do pcall(require, "m1") package.preload.m1 = function() return require("m1") end end
end
return O
