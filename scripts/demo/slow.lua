-- Uses processor time, to test deadlines and limits.
local Slow = hearth.object {
  doc = "Uses processor time.",
  instance = "call",
}

-- Runs a loop n times and returns n.
function Slow.expose:spin(n)
  local i = 0
  while i < n do
    i = i + 1
  end
  return i
end

-- Runs until a limit ends it.
function Slow.expose:forever()
  while true do
  end
end

return Slow
