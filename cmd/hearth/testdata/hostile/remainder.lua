-- expect: error ~"limit exceeded"
local O = hearth.object {}
function O.expose:attack()
  while true do math.fmod(1.7e308, 5e-324) local _ = 1.7e308 % 5e-324, 1.7e308 ^ 0.3 end
end
return O
