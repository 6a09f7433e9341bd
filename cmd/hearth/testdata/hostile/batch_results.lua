-- batch: me attack -> error ~"limit exceeded: 64 MiB of memory|more than"
-- batch: me text -> error ~"more than 8388608 bytes|limit exceeded|takes more than"
-- call: me ping -> result true
local O = hearth.object { instance = "call" }
-- The results of a batch are held until the last is there.
function O.expose:attack() local t = {} for i = 1, 3e5 do t[i] = i end return t end
function O.expose:text() return ("x"):rep(1e6) end
function O.expose:ping() return true end
return O
