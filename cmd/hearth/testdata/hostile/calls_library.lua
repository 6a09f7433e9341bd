-- call: alice attack -> result ~"[1-9]"
-- call: bob probe -> result clean
-- call: bob twin.probe -> result clean
-- call: alice attack -> result ~"[1-9]"
-- call: alice attack -> result ~"[1-9]"
-- call: alice probe -> result clean
local O = hearth.object { instance = "call" }
local libs = { string, table, math, os, coroutine, io, debug, package, package.loaded, package.preload, hearth, hearth.log, _G }
-- A call may change the libraries. The next one finds them as they were.
function O.expose:attack()
  local n = 0
  for _, lib in ipairs(libs) do
    for _, f in ipairs {
      function() lib.max = print end,
      function() lib.leak = "x" end,
      function() rawset(lib, "leak", "x") end,
      function() setmetatable(lib, { __index = { inherited = "x" } }) end,
      function() getmetatable(lib).__index.leak = "x" end,
      function() table.insert(lib, "x") end,
      function() lib[1] = "x" end,
      function() for k in pairs(lib) do if k ~= "pcall" and k ~= "ipairs" then lib[k] = nil end end end,
    } do
      if pcall(f) then n = n + 1 end
    end
  end
  return n
end
function O.expose:probe()
  local bad = ""
  for i, lib in ipairs(libs) do
    if lib.leak or lib.inherited or lib[1] or getmetatable(lib) or lib ~= math and lib.max or next(lib) == nil and lib ~= package.preload then
      bad = bad .. " " .. i
    end
  end
  if math.max(1, 3) ~= 3 or ("x"):rep(2) ~= "xx" or select("#", string.format("x")) ~= 1 then bad = bad .. " functions" end
  return bad == "" and "clean" or bad
end
return O
