-- expect: error ~"limit exceeded"
-- A list of closures that is as deep as memory allows.
local O = hearth.object {}
function O.expose:attack()
  local f = function() return 0 end
  for _ = 1, 1e6 do
    local g = f
    f = function() return g end
  end
  return type(f)
end
return O
