-- expect: error ~"limit exceeded"
local O = hearth.object {}
function O.expose:attack()
  local t = {}
  for i = 1, 61 do t[i] = "local v" .. i .. "=1 " end
  local use = {}
  for i = 1, 61 do use[i] = "v" .. i end
  local s = table.concat(t) .. ("local function f() return " .. table.concat(use, ",", 1, 60) .. " end "):rep(100)
  local f = loadstring(s)
  while true do f() end
end
return O
