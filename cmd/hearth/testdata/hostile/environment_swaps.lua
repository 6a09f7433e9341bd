-- expect: error ~"limit exceeded"
local O = hearth.object {}
function O.expose:attack()
  local env = {}
  for i = 1, 90 do env = setmetatable({}, { __index = env }) end
  local function f() return nothing end
  while true do
    setfenv(f, setmetatable({}, { __index = env }))
    f()
    setfenv(f, getfenv(0))
    setfenv(1, getfenv(1))
  end
end
return O
