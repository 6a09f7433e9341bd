-- beside 12: me attack -> error ~"limit exceeded"
-- call: me ping -> result true
local O = hearth.object { instance = "call" }
-- Each holds less than it may, all together more than the worker has.
function O.expose:attack()
  local t = {}
  for i = 1, 2 do t[i] = ("x"):rep(29e6) .. i end
  while true do end
end
function O.expose:ping() return true end
return O
