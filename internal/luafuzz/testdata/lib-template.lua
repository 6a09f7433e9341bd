-- A template engine: <% code %>, <%= escaped %>, <%- raw %>, compiled by loadstring in an environment of its own.
local Template = {}
Template.__index = Template
local entities = {["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["'"] = "&#39;"}
local function escape(v) if v == nil then return "" end return (tostring(v):gsub("[&<>\"']", entities)) end
local function compile(source, name)
  local code, at, line = {"local _out, _escape = ... "}, 1, 1
  local function add(s) code[#code + 1] = s end
  while true do
    local open, behind, mark = source:find("<%%([=-]?)", at)
    local text = source:sub(at, (open or 0) - 1)
    if open == nil then text = source:sub(at) end
    if text ~= "" then add("_out[#_out + 1] = " .. ("%q"):format(text) .. " ") end
    if not open then break end
    local from, to, trim = source:find("(%-?)%%>", behind + 1)
    if not from then
      local _, breaks = source:sub(1, open):gsub("\n", "")
      error(("%s:%d: tag is not closed"):format(name, breaks + 1), 0)
    end
    local inner = source:sub(behind + 1, from - 1)
    if mark == "=" then add("_out[#_out + 1] = _escape(" .. inner .. ") ")
    elseif mark == "-" then add("_out[#_out + 1] = tostring(" .. inner .. ") ")
    else add(inner .. " ") end
    at = to + 1
    if trim == "-" then at = source:match("^[ \t]*\r?\n()", at) or at end
  end
  add("return table.concat(_out)")
  return table.concat(code)
end
local cache = {}
function Template.new(source, name)
  local self = cache[source]
  if self then return self, "cached" end
  name = name or "template"
  self = setmetatable({name = name, code = compile(source, name)}, Template)
  local f, problem = loadstring(self.code, "=" .. name)
  if not f then error(problem, 0) end
  self.f = f
  cache[source] = self
  return self
end
function Template:render(data, helpers)
  local env = setmetatable({}, {__index = function(_, k)
    local v = data and data[k]
    if v == nil and helpers then v = helpers[k] end
    if v == nil then v = ({table = table, tostring = tostring, ipairs = ipairs, pairs = pairs, string = string})[k]
      end
    return v
  end, __newindex = function(_, k) error("template assigns " .. k, 2) end})
  return setfenv(self.f, env)({}, escape)
end
local function try(source, data, helpers)
  local ok, result = pcall(function() return Template.new(source):render(data, helpers) end)
  print(ok, result)
end
try("plain text")
try("Hello <%= name %>!", {name = "<World> & 'co'"})
try("<%- name %>|<%= missing %>|<%- missing %>", {name = "<b>"})
try("<% for i, v in ipairs(items) do -%>\n<li><%= i %>: <%= v %></li>\n<% end -%>\nend", {items = {"a", "b", "<c>"}})
try("<% if user and user.admin then %>admin<% else %>guest<% end %>", {user = {admin = true}})
try("<% if user and user.admin then %>admin<% else %>guest<% end %>", {})
try("<%= upper(name) %> <%= ('x'):rep(n) %>", {name = "n", n = 3}, {upper = string.upper})
try("<% local total = 0 for _, v in ipairs(list) do total = total + v end %>total <%= total %>", {list = {1, 2, 3}})
try("line\n<% unclosed", {})
try("<% for do %>", {})
try("<%= nothing.field %>", {})
try("<% leaked = 1 %>", {})
try("percent % and <% local s = \"quote\\\"d\" %><%= s %> \\ back\\slash\n\ttab", {})
try("<% local function item(v, depth) %><%= ('-'):rep(depth) .. v.name %>;<% for _, c in ipairs(v) do item(c, depth + 1) end end item(tree, 0) %>",
  {tree = {name = "root", {name = "a", {name = "b"}}, {name = "c"}}})
print(select(2, Template.new("plain text")), Template.new("plain text") == Template.new("plain text"))
local t = Template.new("<%= x %><%= y %>")
print(t:render{x = 1}, t:render{y = 2}, t:render{x = false, y = true}, t:render())
