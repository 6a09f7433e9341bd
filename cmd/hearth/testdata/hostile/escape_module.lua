-- call: me attack -> result nil poisoned module
-- call: me other.probe -> result nil nil function
-- call: bob probe -> result nil nil function
local O = hearth.object { instance = "session" }
-- A module's fields and environment are the run's own, and seeall changes no metatable that is shared.
function O.expose:attack()
  local before = getmetatable(hearth.exception("ValueError", "x"))
  pcall(package.seeall, hearth.exception("ValueError", "x"))
  pcall(package.seeall, hearth.null)
  local name = (function()
    module("shared", package.seeall)
    poisoned = "poisoned"
    return _NAME
  end)()
  ;(function() module("string") rep = "poisoned" end)()
  local leaked = rawget(_G, "poisoned") or rawequal(before, _G)
  return tostring(rawget(_G, "poisoned")) .. " " .. shared.poisoned .. " " .. (name == "shared" and not leaked and "module" or "leak")
end
function O.expose:probe()
  return tostring(rawget(_G, "shared")) .. " " .. tostring(package.loaded.shared) .. " " .. type(string.rep)
end
return O
