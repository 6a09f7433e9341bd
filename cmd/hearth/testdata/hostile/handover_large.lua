-- call: me count "large" -> result 1
-- reload:
-- call: me count "dag" -> result 1
-- reload:
-- call: me count "holes" -> result 1
-- reload:
-- call: me count "integers" -> result 1
-- reload:
-- call: me count "late" -> result 1
-- reload:
-- call: me count "none" -> either ~"^(1|900001)$"
local O = hearth.object { instance = "single" }
function O:init(n) self.n = type(n) == "table" and #n or 0 end
function O:handover()
  local t = {}
  if self.how == "large" then for i = 1, 60 do t[i] = ("x"):rep(1e6) .. i end end
  if self.how == "dag" then t = { 1 } for _ = 1, 60 do t = { t, t } end end
  if self.how == "holes" then
    local u = {}
    for i = 1, 1e5 do u[i] = 1 end
    for i = 1, 1e5 do u[i] = nil end
    for i = 1, 1e4 do t[i] = u end
  end
  if self.how == "integers" then local one = hearth.int(("9"):rep(4300)) for i = 1, 9e5 do t[i] = one end end
  if self.how == "late" then
    local begin = os.clock()
    for i = 1, 9e5 do t[i] = i end
    while os.clock() - begin < 0.3 do end
  end
  return t
end
function O.expose:count(how) self.n, self.how = self.n + 1, how return self.n end
return O
