-- Raises errors, to show the exceptions that a Python caller receives.
local Errors = hearth.object {
  doc = "Every method raises.",
  instance = "call",
}

-- Raises ValueError.
function Errors.expose:value()
  error(hearth.exception("ValueError", "that value is no good"))
end

-- Raises KeyError.
function Errors.expose:key(name)
  error(hearth.exception("KeyError", name or "missing"))
end

-- Raises a plain Lua error, which is sent as RuntimeError.
function Errors.expose:plain()
  error("plain trouble")
end

-- Raises a class that clients do not have.
function Errors.expose:custom()
  error(hearth.exception("ShopClosed", "come back tomorrow"))
end

-- Raises a script error: indexes nil.
function Errors.expose:bug()
  local nothing
  return nothing.field
end

return Errors
