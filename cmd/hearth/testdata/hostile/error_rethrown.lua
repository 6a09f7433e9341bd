-- expect: error ~"limit exceeded"
local O = hearth.object {}
function O.expose:attack()
  local function throw(n, e)
    local ok, err = pcall(function() if n > 0 then throw(n - 1, e) end error(e, 0) end)
    error(err .. "x", 0)
  end
  while true do pcall(throw, 60, ("x"):rep(1e5)) end
end
return O
