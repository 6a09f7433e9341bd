-- expect: error ~"limit exceeded"
local O = hearth.object {}
function O.expose:attack()
  local t = { 1 }
  while true do
    pcall(unpack, t, -2 ^ 31, 2 ^ 31 - 1)
    pcall(unpack, t, 2 ^ 31 - 7000, 2 ^ 31 - 1)
    unpack(t, 1, 7990)
    pcall(unpack, t, 0 / 0, 1 / 0)
  end
end
return O
