-- expect: result getinfo getmetatable traceback 0 0
local O = hearth.object { instance = "call" }
-- debug looks, and at nothing but this script.
function O.expose:attack()
  local names, hits, foreign = {}, 0, 0
  for k in pairs(debug) do names[#names + 1] = k end
  table.sort(names)
  for _, k in ipairs { "getregistry", "getupvalue", "setupvalue", "getlocal", "setlocal", "sethook", "gethook", "setmetatable", "setfenv", "debug" } do
    if debug[k] then hits = hits + 1 end
  end
  local function look(at)
    local i = debug.getinfo(at)
    if not i then return end
    if i.what == "C" and (i.nups ~= 0 or i.source ~= "=[C]") then foreign = foreign + 1 end
    if i.what ~= "C" and not i.short_src:match("escape_debug") then foreign = foreign + 1 end
    for _, v in pairs(i) do if type(v) == "table" or type(v) == "string" and v:match("/tmp") then foreign = foreign + 1 end end
  end
  for level = 0, 100 do look(level) end
  for _, f in ipairs { print, pcall, hearth.caller, hearth.object, require, string.gmatch("x", "x"), coroutine.wrap(print and function() end) } do look(f) end
  pcall(string.gsub, "x", "x", function() for level = 0, 100 do look(level) end end)
  for _, v in ipairs { hearth.null, hearth.bytes("x"), hearth.int("1"), hearth.exception("ValueError", "x"), io.stdout } do
    local mt = debug.getmetatable(v)
    if type(mt) == "table" or mt ~= getmetatable(v) then foreign = foreign + 1 end
  end
  if debug.traceback():match("/tmp") then foreign = foreign + 1 end
  return table.concat(names, " ") .. " " .. hits .. " " .. foreign
end
return O
