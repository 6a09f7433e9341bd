-- call: me attack -> error ~"limit exceeded"
-- call: me raise -> error ~"limit exceeded"
-- call: me pass -> error ~"limit exceeded"
-- batch: me attack -> error ~"limit exceeded"
-- stream: me items -> error ~"limit exceeded"
local O = hearth.object { instance = "call" }
local function holes()
  local t, u = {}, {}
  for i = 1, 1e5 do t[i] = 1 end
  for i = 1, 1e5 do t[i] = nil end
  for i = 1, 1e4 do u[i] = t end
  return u
end
function O.expose:attack() return holes() end
function O.expose:raise() error(hearth.exception("ValueError", holes())) end
function O.expose:ping() return true end
function O.expose:pass()
  local u = holes()
  for i = 0, 3 do pcall(function() hearth.proxy("hostile" .. i .. ".reach_holes_twin"):ping(u) end) end
  while true do pcall(function() hearth.proxy("hostile0.reach_holes_twin"):ping(u) end) end
end
function O.expose:items() return hearth.stream(holes) end
return O
