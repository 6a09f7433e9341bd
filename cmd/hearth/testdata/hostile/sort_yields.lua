-- expect: error ~"limit exceeded"
local O = hearth.object {}
function O.expose:attack()
  while true do
    local co = coroutine.wrap(function()
      pcall(table.sort, { 3, 1, 2 }, function() coroutine.yield() end)
      pcall(string.gsub, "abc", ".", coroutine.yield)
      pcall(load, coroutine.yield)
      for i in coroutine.yield do end
    end)
    for _ = 1, 10 do pcall(co) end
  end
end
return O
