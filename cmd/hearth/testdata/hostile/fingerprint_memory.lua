-- expect: result 0
local O = hearth.object {}
-- Nothing that the libraries hold or return names the machine, its users or its files.
function O.expose:attack()
  local n, seen = 0, {}
  local function look(v)
    if type(v) == "string" and (v:match("/tmp") or v:match("/home") or v:match("/work") or v:match("root")) then n = n + 1 end
    if type(v) ~= "table" or seen[v] then return end
    seen[v] = true
    for k, e in pairs(v) do look(k) look(e) end
  end
  look(_G)
  for _, name in ipairs { "jit", "ffi", "_printregs", "channel", "dofile", "loadfile" } do
    if _G[name] ~= nil then n = n + 1 end
  end
  for _, name in ipairs { "tmpname", "execute", "hostname", "getpid", "remove", "rename", "environ" } do
    if os[name] ~= nil then n = n + 1 end
  end
  for _, f in ipairs { os.getenv, io.open, io.popen, require, error, print, string.rep } do
    local _, a, b = pcall(f, "/etc/hostname")
    look(a) look(b)
  end
  look(debug.traceback())
  if string.dump ~= nil then n = n + 1 end
  return n
end
return O
