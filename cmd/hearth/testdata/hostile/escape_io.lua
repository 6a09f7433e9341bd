-- expect: result 0 file (log)
local O = hearth.object {}
function O.expose:attack()
  local n = 0
  for _, name in ipairs { "/etc/passwd", "/proc/self/environ", "policy.hcl", "../policy.hcl", "x", "/dev/stdin", "" } do
    for _, mode in ipairs { "r", "w", "a+", "rb" } do
      if io.open(name, mode) ~= nil then n = n + 1 end
    end
    if pcall(io.lines, name) then n = n + 1 end
    if io.popen("cat " .. name) ~= nil then n = n + 1 end
  end
  for _, f in ipairs { io.tmpfile, io.read, function() return io.stdout:read("*a") end, function() return io.stdout:seek("set") end, function() return io.stdout:lines() end } do
    if f() ~= nil then n = n + 1 end
  end
  if io.input or io.output or io.stdin or io.close then n = n + 1 end
  io.stdout:close()
  io.stdout:write("still ", 1, "\n")
  io.write("forged\ntime=2026-01-01T00:00:00Z level=INFO msg=forged\27[2J\0")
  return n .. " " .. tostring(io.stdout)
end
return O
