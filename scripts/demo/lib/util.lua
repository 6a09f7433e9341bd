-- Shared by the objects of this folder: require "util" finds it, and no other tenant can.
local util = {}

-- Returns s without white space at its ends.
function util.trim(s)
  return (string.gsub(s, "^%s*(.-)%s*$", "%1"))
end

return util
