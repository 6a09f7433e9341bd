-- call: me attack 0 -> either ~"^[0-9]+$|limit exceeded|cycle|deep|RecursionError|chain"
-- beside 4: me tree 6 -> either ~"^true$|limit exceeded|cycle|deep|chain"
-- call: me ping -> result true
local O = hearth.object { instance = "call" }
local function each(f) for i = 0, 3 do f(hearth.proxy("hostile" .. i .. ".reach_itself")) end end
function O.expose:ping() return true end
-- An object that calls itself, as deep as it may.
function O.expose:attack(n)
  each(function(p) pcall(function() n = p:attack(n + 1) end) end)
  return n
end
function O.expose:tree(n)
  if n > 0 then each(function(p) for _ = 1, 2 do pcall(function() p:tree(n - 1) end) end end) end
  return true
end
return O
