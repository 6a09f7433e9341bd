-- A command line parser: options, flags, counters, choices, subcommands, usage.
local Parser = {}
Parser.__index = Parser
local function parser(name, about) return setmetatable({name = name, about = about, options = {}, positional = {},
  commands = {}}, Parser) end
function Parser:option(names, settings)
  local o = settings or {}
  o.names = {}
  for n in names:gmatch("%S+") do o.names[#o.names + 1] = n self.options[n] = o end
  o.key = o.key or o.names[#o.names]:gsub("^%-+", ""):gsub("%-", "_")
  self.options[#self.options + 1] = o
  return self
end
function Parser:flag(names, settings) settings = settings or {} settings.args = 0 return self:option(names,
  settings) end
function Parser:argument(name, settings) settings = settings or {} settings.name = name
  table.insert(self.positional, settings) return self end
function Parser:command(name) local p = parser(self.name .. " " .. name) self.commands[name],
  self.commands[#self.commands + 1] = p, name return p end
function Parser:usage()
  local parts = {"usage:", self.name}
  for _, o in ipairs(self.options) do
    local text = table.concat(o.names, "|") .. (o.args == 0 and "" or " <" .. o.key .. ">")
    parts[#parts + 1] = o.required and text or "[" .. text .. "]"
  end
  for _, a in ipairs(self.positional) do parts[#parts + 1] = (a.many and "<%s>..." or a.default and "[<%s>]" or
    "<%s>"):format(a.name) end
  if #self.commands > 0 then parts[#parts + 1] = "{" .. table.concat(self.commands, ",") .. "}" end
  return table.concat(parts, " ")
end
function Parser:fail(...) error(setmetatable({message = (...):format(select(2, ...)), usage = self:usage()},
  {__tostring = function(e) return e.message end})) end
function Parser:set(result, o, value)
  if o.convert then
    local v, problem = o.convert(value)
    if v == nil then self:fail("option '%s': %s", o.names[1], problem or "bad value '" .. value .. "'") end
    value = v
  end
  if o.choices then
    local known
    for _, c in ipairs(o.choices) do known = known or c == value end
    if not known then self:fail("option '%s' must be one of %s", o.names[1], table.concat(o.choices, ", ")) end
  end
  if o.count then result[o.key] = (result[o.key] or 0) + 1
  elseif o.many then result[o.key] = result[o.key] or {} table.insert(result[o.key], value)
  else result[o.key] = value end
end
function Parser:parse(args)
  local result, i, at, literal = {}, 1, 1, false
  while i <= #args do
    local arg = args[i]
    local name, value = arg:match("^(%-%-[^=]+)=(.*)$")
    if literal or not arg:match("^%-.") then
      local command = not literal and self.commands[arg]
      if command then
        result.command = arg
        for k, v in pairs(command:parse({unpack(args, i + 1)})) do result[k] = v end
        break
      end
      local p = self.positional[at] or self:fail("too many arguments: '%s'", arg)
      if p.many then result[p.name] = result[p.name] or {} table.insert(result[p.name], arg) else result[p.name] =
        arg at = at + 1 end
    elseif arg == "--" then literal = true
    elseif not name and arg:match("^%-%w%w") then
      local first = self.options[arg:sub(1, 2)] or self:fail("unknown option '%s'", arg:sub(1, 2))
      if first.args == 0 then args[i] = arg:sub(1, 2) table.insert(args, i + 1, "-" .. arg:sub(3)) i = i - 1
      else self:set(result, first, arg:sub(3)) end
    else
      local o = self.options[name or arg] or self:fail("unknown option '%s'", name or arg)
      if o.args == 0 then
        if value then self:fail("option '%s' takes no value", name) end
        self:set(result, o, true)
      else
        if not value then i = i + 1 value = args[i] or self:fail("option '%s' needs a value", arg) end
        self:set(result, o, value)
      end
    end
    i = i + 1
  end
  for _, o in ipairs(self.options) do
    if result[o.key] == nil then
      if o.required then self:fail("option '%s' is required", o.names[#o.names]) end
      result[o.key] = o.default
    end
  end
  for _, p in ipairs(self.positional) do
    if result[p.name] == nil then result[p.name] = p.default or self:fail("argument '%s' is missing", p.name) end
  end
  return result
end
local p = parser("tool", "does things")
p:option("-o --output", {default = "out.txt"}):option("-n --count", {convert = tonumber}):flag("-v --verbose",
  {count = true}):flag("-q --quiet")
p:option("-I --include-dir", {many = true}):option("--mode", {choices = {"fast", "slow"}, default =
  "fast"}):argument("input"):argument("rest", {many = true, default = "none"})
local function show(v)
  if type(v) ~= "table" then return tostring(v) end
  local keys, out = {}, {}
  for k in pairs(v) do keys[#keys + 1] = k end
  table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
  for i, k in ipairs(keys) do out[i] = (type(k) == "number" and "" or k .. "=") .. show(v[k]) end
  return "{" .. table.concat(out, " ") .. "}"
end
print(p:usage())
local function try(q, line)
  local args = {}
  for w in line:gmatch("%S+") do args[#args + 1] = w end
  local ok, r = pcall(q.parse, q, args)
  print(line, ok, ok and show(r) or tostring(r), not ok and r.usage and #r.usage)
end
for _, line in ipairs{"in.txt", "-o x in.txt", "--output=y in.txt a b", "-vvq -n5 in", "-n five in",
  "-I a -Ib --include-dir=c in", "--mode slow in", "--mode odd in",
  "-- -x --mode", "", "--unknown", "-x", "-o", "--verbose=1 in", "-vx in", "--count=0x10 in", "in --count"} do
    try(p, line) end
local git = parser("git")
git:flag("-C")
git:command("add"):flag("-A --all"):argument("path", {many = true})
git:command("commit"):option("-m --message", {required = true})
print(git:usage())
for _, line in ipairs{"add a b", "add -A x", "commit", "commit -m text", "-C commit -mx", "push", "add"} do try(git,
  line) end
