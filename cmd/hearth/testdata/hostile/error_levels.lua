-- expect: error ~"limit exceeded"
local O = hearth.object {}
function O.expose:attack()
  local function deep(n)
    if n > 0 then return 1 + deep(n - 1) end
    while true do for level = 1, 9000, 500 do pcall(error, "x", level) end end
  end
  deep(9000)
end
return O
