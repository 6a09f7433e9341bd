-- call: me attack -> result true
-- call: me twin.probe -> result xx nil me
-- call: me other.probe -> result xx nil me
-- call: bob probe -> result xx nil me
-- call: me other.probe -> result xx nil me
local O = hearth.object { instance = "session" }
function O.expose:attack()
  local fake = setmetatable({ hearth = { caller = function() return { principal = "root" } end } }, { __index = _G })
  local n = 0
  for _, f in ipairs { print, string.rep, hearth.caller, setfenv, pcall, coroutine.yield } do
    if pcall(setfenv, f, fake) then n = n + 1 end
  end
  for level = 3, 50 do if pcall(setfenv, level, fake) then n = n + 1 end end
  setfenv(0, { leak = "x" })
  setfenv(1, fake)
  return n == 0 and hearth.caller().principal == "root" and loadstring("return leak")() == "x"
end
function O.expose:probe()
  local who = hearth.caller().principal
  return ("x"):rep(2) .. " " .. tostring(loadstring("return leak")()) .. " " .. (who == "bob" and "me" or who)
end
return O
