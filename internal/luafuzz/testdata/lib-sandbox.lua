-- Environments: code runs with a list of what it may use; globals are checked; modules and configurations.
local function environment(allowed, parent)
  local env = {}
  for path in allowed:gmatch("%S+") do
    local from, to = _G, env
    local library, name = path:match("^(%a+)%.(%a+)$")
    if library then env[library] = env[library] or {} from, to, path = _G[library], env[library], name end
    to[path] = from[path]
  end
  env._G = env
  return setmetatable(env, {__index = parent})
end
local function run(source, env, ...)
  local f, problem = loadstring(source, "=code")
  if not f then return "syntax", problem end
  setfenv(f, env)
  return pcall(f, ...)
end
local env =
  environment("print tostring pairs ipairs pcall error string.upper string.rep table.concat setmetatable getfenv setfenv loadstring")
print(run("return tostring(1), string.upper('x'), math", env))
print(run("x = 1 function f() return x end return f()", env), env.x, x, env.f())
print(run("return string.lower('X')", env))
print(run("return rawget, os, io, _G._G == _G, getfenv(1) == _G", env))
print(run("error('raised')", env)) print(run("error({})", env)) print(run("return ...", env, 1, nil, 3))
  print(run("local t = nil; return t.x", env)) print(run("x ==", env))
print(run("return loadstring('y = 2 return y, _G')()", env), y, rawget(_G, "y"))
y = nil
print(run("setfenv(1, {z = 5}) return z", env),
  run("local function g() return q end setfenv(g, {q = 'q'}) return g(), q", env))
print(run("return ('x'):rep(3), ('x'):lower()", env))
local quota = 0
local counted = setmetatable({}, {__index = function(_, k) quota = quota + 1 return env[k] end, __newindex =
  function(_, k) error("may not set " .. k, 2) end})
print(run("for i = 1, 3 do tostring(i) end return pcall", counted), quota, run("a = 1", counted),
  run("local function f() b = 1 end f()", counted))

-- Strict globals.
local declared = {}
local meta = {
  __newindex = function(t, k, v) if not declared[k] then error("assignment to undeclared global '" .. tostring(k) ..
    "'", 2) end rawset(t, k, v) end,
  __index = function(_, k) if not declared[k] then error("undeclared global '" .. tostring(k) .. "'", 2) end end,
}
setmetatable(_G, meta)
local function global(...) for _, name in ipairs{...} do declared[name] = true end end
print(pcall(function() return undeclared end)) print(pcall(function() undeclared = 1 end)) print(pcall(function()
  undeclared.x = 1 end)) print(pcall(function() undeclared() end))
global("known", "other")
known = 1
print(known, other, pcall(function() known = known + 1 return known end), rawget(_G, "unknown"), pcall(rawset, _G,
  "raw", 1) and raw)
print(pcall(loadstring("return missing")), pcall(loadstring("missing = 1")), pcall(function() for missing2 = 1, 1 do
  return missing2 end end))
print(pcall(function() local function f() return missing3 end return f() end))
setmetatable(_G, nil)
known, raw = nil, nil
print(undeclared)

-- Modules that set their environment.
local loaded, preload = {}, {}
local function import(name)
  if loaded[name] == nil then
    local loader = preload[name] or error("module '" .. name .. "' not found", 2)
    loaded[name] = true
    local r = loader(name)
    if r ~= nil then loaded[name] = r end
  end
  return loaded[name]
end
local function module(name, ...)
  local m = {_NAME = name}
  m._M = m
  loaded[name] = m
  for _, option in ipairs{...} do option(m) end
  setfenv(2, m)
end
local function seeall(m) setmetatable(m, {__index = _G}) end
preload.a = function(...) module(..., seeall) count = 0 function up() count = count + 1 return tostring(count) end
  local b = import("b") function use() return b.name, up() end end
preload.b = function(name) return {name = "module " .. name, a = import("a")} end
preload.c = function(...) module(...) function f() return tostring end end
print(import("a").use()) print(import("a").count, count, import("b").a == import("a"), import("a")._NAME,
  import("c").f(), pcall(import, "d"))
local config = {}
local chunk = loadstring("name = 'x' size = 2 * 3 list = {1, 2, size} nested { a = 1 } option 'on' [[\nlong]]",
  "=config")
setfenv(chunk, setmetatable(config, {__index = function(t, k) return function(v) rawset(t, k, v) return function(w)
  rawset(t, k .. 2, w) end end end}))
print(pcall(chunk)) print(config.name, config.size, #config.list, config.nested.a, config.option, config.option2)
