-- Item streams: values that the caller requests one by one.
local Ticker = hearth.object {
  doc = "Streams numbers.",
  instance = "call",
}

-- Streams n, n-1, … 1.
function Ticker.expose:countdown(n)
  local left = n
  return hearth.stream(function()
    if left > 0 then
      left = left - 1
      return left + 1
    end
  end)
end

-- Streams 1 … n, then raises ValueError.
function Ticker.expose:fail_after(n)
  local i = 0
  return hearth.stream(function()
    i = i + 1
    if i > n then
      error(hearth.exception("ValueError", "the stream broke"))
    end
    return i
  end)
end

return Ticker
