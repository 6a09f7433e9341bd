-- call: me attack -> result true
-- call: me twin.probe -> result xx nil nil
-- call: me other.probe -> result xx nil nil
-- call: bob probe -> result xx nil nil
-- call: me other.probe -> result xx nil nil
local O = hearth.object { instance = "session" }
function O.expose:attack()
  rawset(string, "rep", print)
  rawset(_G, "leak", "x")
  rawset(package.loaded, "leak", "x")
  rawset(getmetatable(""), "__index", function() return print end)
  return string.rep == print
end
function O.expose:probe()
  return ("x"):rep(2) .. " " .. tostring(leak) .. " " .. tostring(package.loaded.leak)
end
return O
