-- expect: result 0
local O = hearth.object {}
function O.expose:attack()
  local n = 0
  for _, name in ipairs { "collectgarbage", "gcinfo", "debug", "jit", "package", "io", "newproxy", "_printregs" } do
    if _G[name] ~= nil then n = n + 1 end
  end
  for _, name in ipairs { "getenv", "tmpname", "execute", "exit", "setlocale", "hostname", "getpid" } do
    if os[name] ~= nil then n = n + 1 end
  end
  return n
end
return O
