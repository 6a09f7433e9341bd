-- expect: error ~"limit exceeded"
local O = hearth.object {}
function O.expose:attack()
  local a = "a"
  while #a < 2 ^ 20 do a = a .. a:gsub(".", { a = "b", b = "a" }) end
  local p = a:sub(1, 2 ^ 18) .. "a"
  while true do a:find(p, 1, true) end
end
return O
