-- The module that the scripts of the corpus require.
local M = { n = 0, list = {} }
function M.bump() M.n = M.n + 1 return M.n end
function M.clean()
  return M.n == 0 and #M.list == 0 and M.extra == nil and M.inherited == "yes"
end
return setmetatable(M, { __index = { inherited = "yes" } })
