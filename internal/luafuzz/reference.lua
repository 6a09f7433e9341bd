-- Runs programs in PUC Lua, one after another: lua5.1 reference.lua PRELUDE, the prelude's text being the
-- first frame of stdin. A frame is "<bytes> <chunk name>\n" and the bytes. The answer to each further frame is
-- "<verdict> <bytes>\n" and the trace. The verdict is "ok", or the reason why the trace is no reference.
local stdin, stdout = io.stdin, io.stdout
local pcall, setfenv, sethook, getinfo = pcall, setfenv, debug.sethook, debug.getinfo
local count, error, tostring = collectgarbage, error, tostring
local pairs, type, loadstring, string_meta = pairs, type, loadstring, getmetatable("")
local home, number = _G, tonumber

local MAX_INSTRUCTIONS = 3000000
local CHECK_EVERY = 9973
local MAX_KILOBYTES = 300000

local function read_frame()
  local head = stdin:read("*l")
  if not head then return nil end
  local bytes, name = head:match("^(%d+) (.*)$")
  bytes = number(bytes)
  return bytes == 0 and "" or stdin:read(bytes), name
end

local function copy(t)
  local c = {}
  for k, v in pairs(t) do c[k] = v end
  return c
end

local hidden = { io = true, os = true, debug = true, package = true, require = true, module = true,
  dofile = true, loadfile = true, gcinfo = true, _G = true, arg = true }

-- environment returns fresh globals: nothing that one program does reaches the next.
local function environment()
  local env = {}
  for k, v in pairs(home) do
    if not hidden[k] then env[k] = type(v) == "table" and copy(v) or v end
  end
  env.debug = { traceback = debug.traceback, getinfo = debug.getinfo, getmetatable = debug.getmetatable }
  env.os = { time = os.time, date = os.date, clock = os.clock, difftime = os.difftime }
  env._G = env
  for k in pairs(string_meta) do string_meta[k] = nil end
  string_meta.__index = env.string
  return env
end

local prelude = assert(loadstring(read_frame(), "=prelude"))


local answer

-- prepare returns a function that runs one program in a fresh environment, and one that returns the verdict.
local function prepare(source, name)
  local spent, verdict = 0, "ok"
  local function watch()
    spent = spent + CHECK_EVERY
    if spent > MAX_INSTRUCTIONS then verdict = "instructions" end
    if count("count") > MAX_KILOBYTES then verdict = "memory" end
    if verdict ~= "ok" and getinfo(2, "f").func ~= answer then
      sethook(watch, "", 1) -- a program that catches the error gets no further
      error("out of " .. verdict, 0)
    end
  end
  local env = environment()
  setfenv(prelude, env)
  return function()
    setfenv(0, env)
    sethook(watch, "", CHECK_EVERY)
    return prelude()(source, name)
  end, function() return verdict end
end

-- answer runs one program and writes the answer.
function answer(source, name)
  local run, verdict = prepare(source, name)
  local ok, trace = pcall(run)
  sethook()
  setfenv(0, home)
  local result = verdict()
  if not ok then
    if result == "ok" then result = "failed" end
    trace = tostring(trace)
  end
  stdout:write(result, " ", #trace, "\n", trace)
  stdout:flush()
end

for source, name in read_frame do
  if not source then break end
  answer(source, name)
end
