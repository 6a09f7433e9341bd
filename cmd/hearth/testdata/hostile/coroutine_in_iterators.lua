-- expect: error ~"limit exceeded"
local O = hearth.object {}
function O.expose:attack()
  local function each(n)
    return coroutine.wrap(function()
      pcall(function()
        if n > 0 then for v in each(n - 1) do coroutine.yield(v) end end
        while true do coroutine.yield(n) end
      end)
    end)
  end
  while true do
    for depth = 1, 300 do pcall(function() for v in each(depth) do if v == 0 then break end error(v) end end) end
  end
end
return O
