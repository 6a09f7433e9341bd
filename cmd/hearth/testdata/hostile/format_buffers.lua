-- expect: error ~"limit exceeded"
-- Each level of __tostring holds the text that its string.format has made so far.
local O = hearth.object {}
function O.expose:attack()
  local big = ("x"):rep(30 * 2 ^ 20)
  local p = newproxy(true)
  local depth = 0
  getmetatable(p).__tostring = function()
    depth = depth + 1
    if depth > 180 then error("deep") end
    return ("%s%s"):format(big, p)
  end
  return #("%s"):format(p)
end
return O
