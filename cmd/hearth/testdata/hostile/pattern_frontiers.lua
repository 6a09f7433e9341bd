-- expect: error ~"limit exceeded"
local O = hearth.object {}
function O.expose:attack()
  local p, s = "%f[" .. ("b-c"):rep(1e5) .. "]x", ("a"):rep(1e5)
  while true do s:find(p) end
end
return O
