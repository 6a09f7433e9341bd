-- call: me attack -> result 0
-- call: bob probe -> result clean 3 yielded nil
-- call: me broken 1 -> result dead
-- call: me broken 2 -> result dead
-- call: me broken 3 -> error ~"Lua function expected"
-- call: bob probe -> result clean 3 yielded nil
local O = hearth.object { instance = "call" }
-- A coroutine cannot yield out of a function of the VM.
function O.expose:attack()
  local n = 0
  for _, f in ipairs {
    function() table.sort({ 3, 2, 1 }, coroutine.yield) end,
    function() string.gsub("abc", ".", coroutine.yield) end,
    function() pcall(coroutine.yield) end,
    function() coroutine.resume(coroutine.running()) end,
  } do
    local co = coroutine.create(f)
    for _ = 1, 5 do pcall(coroutine.resume, co) end
    if coroutine.status(co) == "running" then n = n + 1 end
  end
  return n
end
function O.expose:broken(n)
  local co = coroutine.create(({
    function() local _ = setmetatable({}, { __index = coroutine.yield }).x end,
    function() for _ in coroutine.yield do end end,
    coroutine.yield,
  })[n])
  for _ = 1, 5 do pcall(coroutine.resume, co) end
  return coroutine.status(co)
end
function O.expose:probe()
  local t = { 3, 1, 2 }
  table.sort(t)
  local co = coroutine.create(function() coroutine.yield("yielded") end)
  return "clean " .. t[3] .. " " .. select(2, coroutine.resume(co)) .. " " .. tostring(coroutine.running())
end
return O
