-- beside 40: me attack -> either ~"^true$|limit exceeded"
-- call: me other.ping -> result true
local O = hearth.object { instance = "call" }
-- Calls that are slow, and whose replies are long, while as many are made.
function O.expose:ping() return true end
function O.expose:slow() local n = 0 for i = 1, 2e5 do n = n + 1 end return ("x"):rep(230000) end
function O.expose:attack()
  for i = 0, 3 do
    local p = hearth.proxy("hostile" .. i .. ".reach_slow_twin")
    if pcall(function() return p:ping() end) then
      for _ = 1, 6 do if #p:slow() ~= 230000 then return false end end
      return true
    end
  end
end
return O
