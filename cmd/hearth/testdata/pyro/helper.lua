-- An object that conform.lua calls and returns proxies of.
local H = hearth.object { instance = "call" }

function H.expose:give(id) return { hearth.proxy(id) } end
function H.expose:whoami() return hearth.caller().principal end
function H.expose:seen()
  local c = hearth.call()
  local n = 0
  for _ in pairs(c.annotations) do n = n + 1 end
  return { annotations = n, handshake = c.handshake }
end

return H
