-- call: me attack -> either ~"^4[0-9]*$|limit exceeded"
-- call: alice attack -> either ~"^4[0-9]*$|limit exceeded"
-- call: bob attack -> either ~"^4[0-9]*$|limit exceeded"
-- call: me other.ping -> result true
local O = hearth.object { instance = "session" }
function O.expose:ping() return true end
function O.expose:large() local t = {} for i = 1, 4e5 do t[i] = hearth.list() end return t end
-- A reply that is large in memory, once more and once more.
function O.expose:attack()
  local n = 0
  for i = 0, 3 do
    pcall(function()
      local p = hearth.proxy("hostile" .. i .. ".reach_replies_twin")
      p:ping()
      n = #p:large()
    end)
  end
  return n
end
return O
