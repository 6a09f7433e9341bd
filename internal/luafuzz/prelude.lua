-- The trace helpers of a generated program, the same in every engine. The chunk runs in the program's
-- environment before the program and returns run(source, name), which returns the program's trace.
local type, tostring, select, next, rawget, error, pcall = type, tostring, select, next, rawget, error, pcall
local getmetatable, loadstring = getmetatable, loadstring
local format, byte, find, gsub, sub = string.format, string.byte, string.find, string.gsub, string.sub
local concat, sort, wrap = table.concat, table.sort, coroutine.wrap

local MAX_TRACE = 40000 -- bytes; the rest of a trace is dropped
local MAX_TICKS = 1200  -- calls and rounds of one program

-- Engines differ in what their libraries hold besides Lua's functions.
local libraries = { [_G] = "<_G>" }
for name, value in next, _G do
  if type(value) == "table" and value ~= _G then libraries[value] = "<" .. name .. ">" end
end

local lines, size = {}, 0

local function emit(line)
  if size < MAX_TRACE then
    size = size + #line + 1
    lines[#lines + 1] = line
  end
end

-- hide removes addresses, whose lengths differ, and the position of a stack overflow: the function that is running then
-- depends on the frames below the program, and in PUC on the time of a collection.
local function hide(s)
  if find(s, "stack overflow", 1, true) then s = gsub(s, "^[^:]*:%d+: (C? ?stack overflow)", "%1") end
  if find(s, ": 0x", 1, true) then return (gsub(s, ": 0x%x+", ": address")) end
  return s
end

local function escape(c) return format("\\%03d", byte(c)) end

local dump

local function dump_table(t, depth, above)
  if libraries[t] then return libraries[t] end
  if above[t] then return "<above>" end
  if depth > 3 then return "<deep>" end
  above[t] = true
  local entries = {}
  for k, v in next, t do
    if k == 0 then k = 0 end -- not -0: in PUC a key keeps the sign that it had when it was assigned nil
    entries[#entries + 1] = dump(k, depth + 1, above) .. "=" .. dump(v, depth + 1, above)
  end
  above[t] = nil
  sort(entries)
  return (getmetatable(t) and "meta{" or "{") .. concat(entries, ", ") .. "}"
end

-- dump returns v as text without addresses; the order of a table's keys does not show.
function dump(v, depth, above)
  local kind = type(v)
  if kind == "number" then
    return format("%.14g", v)
  elseif kind == "string" then
    v = hide(v)
    if #v > 300 then v = sub(v, 1, 300) .. "..." .. #v end
    return '"' .. gsub(v, "[%c\127-\255\\\"]", escape) .. '"'
  elseif kind == "table" then
    return dump_table(v, depth, above)
  elseif kind == "nil" or kind == "boolean" then
    return tostring(v)
  end
  return kind
end

-- T adds a line to the trace: a label and values.
function T(label, ...)
  local texts = { dump(label, 0, {}) .. ":" }
  for i = 1, select("#", ...) do
    texts[#texts + 1] = dump((select(i, ...)), 0, {})
  end
  emit(concat(texts, " "))
end

-- print is Lua's, into the trace.
function print(...)
  local texts = {}
  for i = 1, select("#", ...) do texts[i] = hide(tostring((select(i, ...)))) end
  emit(concat(texts, "\t"))
end

local ticks = 0

-- tick bounds a program: it fails at each call after the first MAX_TICKS.
function tick()
  ticks = ticks + 1
  if ticks > MAX_TICKS then error("out of ticks", 0) end
end

-- clip bounds a string's growth.
function clip(s)
  if type(s) == "string" and #s > 60 then return sub(s, 1, 60) end
  return s
end

return function(source, name)
  local chunk, problem = loadstring(source, name)
  if not chunk then
    emit("syntax: " .. problem)
  else
    -- A traceback ends with its coroutine: without the frames of the program that runs this one.
    local ok, value
    local function run() ok, value = pcall(chunk) end
    if find(source, "traceback", 1, true) then run = wrap(run) end
    run()
    if not ok then emit("failed: " .. dump(value, 0, {})) end
  end
  return concat(lines, "\n")
end
