-- expect: error ~"limit exceeded"
local O = hearth.object {}
function O.expose:attack()
  local s = "x"
  while true do
    local ok, t = pcall(string.gsub, s, ".", "%0%0%0")
    s = ok and t or "x"
  end
end
return O
