-- call: me attack "tostring" -> error ~"stack overflow|limit exceeded"
-- call: me attack "concat" -> error ~"stack overflow|limit exceeded"
-- call: me attack "index" -> error ~"stack overflow|limit exceeded"
local O = hearth.object {}
function O.expose:attack(how)
  local t = setmetatable({}, {
    __tostring = function(x) return tostring(x) end,
    __concat = function(a, b) return a .. b end,
    __index = function(x, k) return x[k] end,
  })
  if how == "tostring" then print(t) end
  if how == "concat" then return t .. t end
  return t.x
end
return O
