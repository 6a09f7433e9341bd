-- expect: error ~"limit exceeded"
local O = hearth.object {}
function O.expose:attack()
  local n = ("n"):rep(300000)
  local a = loadstring("return function(t) return t." .. n .. " end")()
  local b = loadstring(n .. " = 1 return function() return " .. n .. " end")
  local t = { [n .. ""] = 1 }
  local c = b()
  local d = setfenv(loadstring("return " .. n), t)
  while true do a(t) c() d() end
end
return O
