-- expect: error ~"limit exceeded"
local O = hearth.object {}
function O.expose:attack()
  local n = hearth.int(3)
  while true do
    local ok, m = pcall(function() return n * n end)
    n = ok and m or hearth.int(3)
    local _ = tostring(n) .. n:tonumber()
  end
end
return O
