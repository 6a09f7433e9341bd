-- expect: error ~"limit exceeded"
-- Near the limit of memory, for as long as it goes.
local O = hearth.object {}
function O.expose:attack()
  local t, n = {}, 0
  while true do
    n = n + 1
    t[n % 1000] = ("x"):rep(60000) .. n
  end
end
return O
