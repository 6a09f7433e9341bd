-- beside 8: me attack -> either ~"^true$|limit exceeded"
-- call: me attack -> either ~"^true$|limit exceeded"
-- call: me other.attack -> either ~"^true$|limit exceeded"
local O = hearth.object { instance = "session" }
function O.expose:attack()
  self.t = {}
  for i = 1, 55 do self.t[i] = ("x"):rep(1e6) .. i end
  return true
end
return O
