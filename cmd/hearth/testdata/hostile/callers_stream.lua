-- stream: alice attack -> result [alice alice alice]
-- stream: bob attack -> result [bob bob bob]
local O = hearth.object { instance = "single" }
function O.expose:attack()
  local n = 0
  return hearth.stream(function()
    n = n + 1
    if n <= 3 then return hearth.caller().principal end
  end)
end
return O
