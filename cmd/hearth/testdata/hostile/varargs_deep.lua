-- expect: error ~"limit exceeded"
local O = hearth.object {}
function O.expose:attack()
  local t = {}
  for i = 1, 2000 do t[i] = i end
  local function deep(n, ...) if n > 0 then return deep2(n - 1, ...) end return ... end
  function deep2(n, ...) local a = { ... } return select("#", deep(n, ...)), ... end
  while true do pcall(deep, 100, unpack(t)) end
end
return O
