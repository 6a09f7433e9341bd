-- expect: error ~"limit exceeded"
local O = hearth.object {}
function O.expose:attack()
  local s = ("\27[31mx\n"):rep(1e6)
  while true do hearth.log.error(s) print(s, s) io.write(s) io.stderr:write(s, s) end
end
return O
