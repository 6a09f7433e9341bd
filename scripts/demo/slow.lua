-- Takes its time by working, to try out deadlines and limits.
local Slow = hearth.object {
  doc = "Keeps a processor busy.",
  instance = "call",
}

-- Goes round a loop n times and returns n.
function Slow.expose:spin(n)
  local i = 0
  while i < n do
    i = i + 1
  end
  return i
end

-- Never ends; the limits end it.
function Slow.expose:forever()
  while true do
  end
end

return Slow
