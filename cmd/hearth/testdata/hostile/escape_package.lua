-- call: me attack -> result true
-- call: me twin.probe -> result nil nil function
-- call: me other.probe -> result nil nil function
-- call: bob probe -> result nil nil function
-- call: me other.probe -> result nil nil function
local O = hearth.object { instance = "session" }
function O.expose:attack()
  package.loaded.shared, package.loaded.string, package.loaded.hearth = { poisoned = true }, {}, {}
  package.preload.other = "poisoned"
  package.path, package.cpath = "/etc/?;/proc/self/?", "/lib/?.so"
  local reached = package.loadlib ~= nil or package.searchers ~= nil
  for _, name in ipairs { "passwd", "environ", "libc", "hostname", "ffi", "lfs" } do
    reached = reached or pcall(require, name)
  end
  package.loaders.other, package.loaders[1], package.loaders[2] = "poisoned", function() return "poisoned" end, nil
  return not reached and not pcall(require, "other") and require "shared".poisoned
end
function O.expose:probe()
  return tostring(require "shared".poisoned) .. " " .. tostring(package.preload.other or package.loaders.other) .. " " .. type(require "string".rep)
end
return O
