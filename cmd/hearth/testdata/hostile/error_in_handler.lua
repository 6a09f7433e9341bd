-- expect: error ~"limit exceeded"
-- Each handler has two more errors to handle.
local O = hearth.object {}
function O.expose:attack()
  local function handler(e)
    xpcall(error, handler)
    xpcall(error, handler)
    error(e)
  end
  while true do xpcall(error, handler) end
end
return O
