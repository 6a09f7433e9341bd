-- call: alice1 attack -> result ~"2000"
-- call: alice2 attack -> result ~"2000"
-- call: alice3 attack -> result ~"2000"
-- call: alice4 attack -> result ~"2000"
-- call: alice5 attack -> result ~"2000"
-- call: alice6 attack -> result ~"2000"
-- call: alice7 attack -> result ~"2000"
-- call: alice8 attack -> result ~"2000"
-- call: alice1 ping -> result true
local O = hearth.object { instance = "session" }
-- What was a result is garbage.
function O.expose:attack()
  local t = {}
  for i = 1, 2e5 do t["k" .. i] = 2000 end
  return t
end
function O.expose:ping() return true end
return O
