-- call: me attack -> error ~"."
-- hangup: me
-- call: me attack -> error ~"."
local O = hearth.object { instance = "session" }
local s = "\27[31m\27]0;owned\7\r\ntime=2026-01-01T00:00:00Z level=INFO msg=forged\0\226\128\174\255"
function O:close() error(s) end
function O.expose:attack()
  hearth.log.warn(s)
  hearth.log[s == nil and "info" or "debug"](s, { s }, s)
  print(s)
  error(s, 0)
end
return O
