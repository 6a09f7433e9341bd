-- call: me attack -> error ~"limit exceeded"
-- call: me dag -> error ~"more than 1000000 values|limit exceeded"
-- call: me ping -> result true
local O = hearth.object { instance = "call" }
local function each(f) for i = 0, 3 do f(hearth.proxy("hostile" .. i .. ".reach_arguments_twin")) end end
function O.expose:ping() return true end
-- Keyword arguments of holes.
function O.expose:attack()
  local t = {}
  for i = 1, 1e6 do t[i] = 1 end
  for i = 1, 1e6 do t[i] = nil end
  t.x = 1
  while true do each(function(p) pcall(function() p:ping(hearth.kw(t)) end) end) end
end
function O.expose:dag()
  local t = { 1 }
  for _ = 1, 60 do t = { t, t } end
  each(function(p) p:ping(t) end)
end
return O
