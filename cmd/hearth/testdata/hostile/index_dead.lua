-- expect: error ~"limit exceeded"
-- Each table of the chain has had an equal key.
local O = hearth.object {}
function O.expose:attack()
  local s, t = ("x"):rep(300000), {}
  for _ = 1, 90 do
    local k = s .. ""
    t[k] = 1
    t[k] = nil
    t = setmetatable({}, { __index = t })
  end
  while true do local _ = t[s] end
end
return O
