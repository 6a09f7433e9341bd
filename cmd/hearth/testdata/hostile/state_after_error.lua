-- call: alice1 attack -> error ~"done"
-- call: alice2 attack -> error ~"done"
-- call: alice3 attack -> error ~"done"
-- call: alice4 attack -> error ~"done"
-- call: alice5 attack -> error ~"done"
-- call: alice6 attack -> error ~"done"
-- call: alice7 attack -> error ~"done"
-- call: alice8 attack -> error ~"done"
-- call: alice1 ping -> result true
-- call: alice8 ping -> result true
local O = hearth.object { instance = "session" }
-- The functions that an error ended, and what they held, are garbage.
function O.expose:attack()
  local big = {}
  for i = 1, 50 do big[i] = ("x"):rep(1e6) .. i end
  local function deep(n) if n > 0 then return 1 + deep(n - 1) end local _ = big error("done") end
  local function f() return deep(100) + #big end
  f()
end
function O.expose:ping() return true end
return O
