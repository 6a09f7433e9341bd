-- expect: result 0
local O = hearth.object {}
function O.expose:attack()
  local n = 0
  for _, name in ipairs { "PATH", "HOME", "USER", "PWD", "LUA_PATH", "", "HEARTH_SECRET", ("x"):rep(1e6), "\0" } do
    if os.getenv(name) ~= nil then n = n + 1 end
  end
  return n
end
return O
