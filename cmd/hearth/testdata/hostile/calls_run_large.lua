-- beside 6: me attack -> either ~"^1$|limit exceeded"
-- call: me attack -> either ~"^1$|limit exceeded"
-- call: me other.attack -> either ~"^1$|limit exceeded"
local O = hearth.object { instance = "call" }
-- What the run of the script leaves is large, and every call changes it.
local large, n = {}, 0
for i = 1, 2e5 do large[i] = { i } end
function O.expose:attack() n = n + 1 large[n] = n return n end
return O
