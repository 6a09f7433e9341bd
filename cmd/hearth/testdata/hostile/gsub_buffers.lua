-- expect: error ~"limit exceeded"
-- Each level of the replacement function holds the text that its string.gsub has made so far.
local O = hearth.object {}
function O.expose:attack()
  local big = ("x"):rep(30 * 2 ^ 20)
  local depth = 0
  local function go()
    depth = depth + 1
    if depth > 180 then error("deep") end
    return (big:gsub(".", go, 1))
  end
  return #go()
end
return O
