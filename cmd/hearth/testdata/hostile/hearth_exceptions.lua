-- expect: error ~"limit exceeded"
local O = hearth.object {}
function O.expose:attack()
  local one, e = hearth.int(("9"):rep(4300)), "x"
  while true do
    e = hearth.exception("ValueError", one, e, e)
    local _ = tostring(e) .. hearth.typeof(e)
  end
end
return O
