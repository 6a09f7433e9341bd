-- expect: error ~"limit exceeded"
local O = hearth.object {}
function O.expose:attack()
  local function reader() return load(reader) and "" end
  while true do load(reader) end
end
return O
