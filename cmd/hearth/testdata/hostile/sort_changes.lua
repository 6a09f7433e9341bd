-- expect: error ~"limit exceeded"
local O = hearth.object {}
function O.expose:attack()
  local t = {}
  while true do
    for i = 1, 1000 do t[i] = i * 7919 % 1000 end
    pcall(table.sort, t, function(a, b)
      t[#t + 1] = 1
      for i = 1, 10 do t[i] = nil end
      return a == nil or b ~= nil and a < b
    end)
    t = {}
  end
end
return O
