-- A keyed object, of which conform.lua returns proxies.
local K = hearth.object { instance = "keyed" }

function K:init(key) self.key = key end
function K.expose:whose() return self.key end

return K
