-- expect: error ~"limit exceeded"
local O = hearth.object {}
function O.expose:attack()
  local t = { 1, 2, 3, x = 1 }
  while true do pcall(next, t, {}) pcall(next, t, 0 / 0) pcall(next, t, "y") end
end
return O
