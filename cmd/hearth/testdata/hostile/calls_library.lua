-- call: alice attack -> result 0
-- call: bob probe -> result 3 1 true nil
-- call: bob twin.probe -> result 3 1 true nil
local O = hearth.object { instance = "call" }
local libs = { string, table, math, os, coroutine, hearth, hearth.log }
function O.expose:attack()
  local n = 0
  for _, lib in ipairs(libs) do
    for _, f in ipairs {
      function() lib.max = print end,
      function() lib.leak = "x" end,
      function() rawset(lib, "leak", "x") end,
      function() setmetatable(lib, {}) end,
      function() getmetatable(lib).__index.leak = "x" end,
      function() table.insert(lib, "x") end,
      function() table.sort(lib) end,
      function() lib[1] = "x" end,
    } do
      if pcall(f) and (lib.leak or lib[1] or lib.max == print) then n = n + 1 end
    end
  end
  return n
end
function O.expose:probe()
  return ("%d %d %s %s"):format(math.max(1, 3), select("#", string.format("x")), tostring(next(table) == nil), tostring(string.leak))
end
return O
