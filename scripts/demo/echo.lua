-- Returns its arguments: shows which values are transmitted unchanged.
local Echo = hearth.object {
  doc = "Returns its arguments unchanged, and sample values.",
  instance = "call",
}

-- Returns v.
function Echo.expose:echo(v)
  return v
end

-- Returns all its arguments as a list; keyword arguments are the last one.
function Echo.expose:several(...)
  return hearth.list(...)
end

-- Returns the Lua type of v.
function Echo.expose:kind(v)
  return type(v)
end

-- Returns one value of each type that has no literal in Lua.
function Echo.expose:samples()
  return {
    null = hearth.null,
    list = hearth.list {},
    dict = hearth.dict {},
    tuple = hearth.tuple { 1, 2 },
    bytes = hearth.bytes "raw",
    big = hearth.int "123456789012345678901234567890",
  }
end

-- Returns nothing.
function Echo.expose:nothing()
end

return Echo
