-- beside 8: packed take @300000 -> either ~"^300000$|limit exceeded"
-- call: me take [] -> result 0
local O = hearth.object { instance = "call" }
function O.expose:take(t) return #t end
return O
