-- A small Markdown to HTML converter by patterns.
local function escape(s) return (s:gsub("[&<>]", {["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;"})) end
local function inline(s)
  local held = {}
  local function hold(html) held[#held + 1] = html return "\1" .. #held .. "\2" end
  s = s:gsub("(`+)(.-)%1", function(_, code) return hold("<code>" .. escape(code:match("^ ?(.-) ?$")) .. "</code>")
    end)
  s = s:gsub("\\([%p])", function(c) return hold(escape(c)) end)
  s = s:gsub("!%[(.-)%]%((%S-)%)", function(alt, url) return hold(('<img src="%s" alt="%s">'):format(url,
    escape(alt))) end)
  s = s:gsub("%[(.-)%]%((%S-)%s*\"?(.-)\"?%)", function(text, url, title)
    return hold(('<a href="%s"%s>'):format(url, title ~= "" and (' title="%s"'):format(title) or "")) .. text ..
      hold("</a>")
  end)
  s = s:gsub("<(%a+:[^%s>]+)>", function(url) return hold(('<a href="%s">%s</a>'):format(url, url)) end)
  s = escape(s)
  for _, rule in ipairs{{"%*%*", "strong"}, {"__", "strong"}, {"%*", "em"}, {"_", "em"}} do
    local mark, tag = rule[1], rule[2]
    s = s:gsub(mark .. "(%S.-)" .. mark, function(text) return "<" .. tag .. ">" .. text .. "</" .. tag .. ">" end)
  end
  s = s:gsub("  +\n", "<br>\n")
  local n
  repeat s, n = s:gsub("\1(%d+)\2", function(i) return held[tonumber(i)] end) until n == 0
  return s
end
local blocks
local function list(lines, at, marker, indent)
  local tag = marker:match("%d") and "ol" or "ul"
  local out = {"<" .. tag .. ">"}
  while lines[at] do
    local spaces, mark, text = lines[at]:match("^(%s*)([%*%-+])%s+(.*)$")
    if not mark then spaces, mark, text = lines[at]:match("^(%s*)(%d+%.)%s+(.*)$") end
    if not mark or #spaces < indent then break end
    if #spaces > indent then
      local inner
      inner, at = list(lines, at, mark, #spaces)
      out[#out] = out[#out]:gsub("</li>$", "\n") .. inner .. "</li>"
    else
      at = at + 1
      while lines[at] and lines[at]:match("^%s+%S") and not lines[at]:match("^%s*[%*%-+]%s") and not
        lines[at]:match("^%s*%d+%.%s") do text = text .. "\n" .. lines[at]:match("^%s+(.*)$") at = at + 1 end
      out[#out + 1] = "<li>" .. inline(text) .. "</li>"
    end
  end
  return table.concat(out, "\n") .. "\n</" .. tag .. ">", at
end
function blocks(lines)
  local out, at, paragraph = {}, 1, {}
  local function flush() if #paragraph > 0 then out[#out + 1] = "<p>" .. inline(table.concat(paragraph, "\n")) ..
    "</p>" paragraph = {} end end
  while at <= #lines do
    local line = lines[at]
    local level, title = line:match("^(#+)%s+(.-)%s*#*$")
    local fence, language = line:match("^(```+)%s*(%w*)")
    local marker = line:match("^%s?%s?([%*%-+])%s") or line:match("^%s?(%d+%.)%s")
    if level and #level <= 6 then flush() out[#out + 1] = ("<h%d>%s</h%d>"):format(#level, inline(title), #level)
    elseif fence then
      flush()
      local code = {}
      at = at + 1
      while lines[at] and lines[at]:sub(1, #fence) ~= fence do code[#code + 1] = escape(lines[at]) at = at + 1 end
      out[#out + 1] = "<pre><code" .. (language ~= "" and ' class="' .. language .. '"' or "") .. ">" ..
        table.concat(code, "\n") .. "</code></pre>"
    elseif line:match("^%s*[%*%-_]%s*[%*%-_]%s*[%*%-_][%s%*%-_]*$") then flush() out[#out + 1] = "<hr>"
    elseif marker then flush() local html html, at = list(lines, at, marker, #line:match("^%s*")) out[#out + 1] =
      html at = at - 1
    elseif line:match("^>") then
      flush()
      local inner = {}
      while lines[at] and lines[at]:match("^>") do inner[#inner + 1] = lines[at]:gsub("^>%s?", "") at = at + 1 end
      out[#out + 1] = "<blockquote>\n" .. blocks(inner) .. "\n</blockquote>"
      at = at - 1
    elseif line:match("^%s*$") then flush()
    elseif #paragraph == 1 and line:match("^=+%s*$") then out[#out + 1] = "<h1>" .. inline(table.remove(paragraph))
      .. "</h1>"
    else paragraph[#paragraph + 1] = line end
    at = at + 1
  end
  flush()
  return table.concat(out, "\n")
end
local function markdown(s) local lines = {} for line in (s:gsub("\t", "    ") .. "\n"):gmatch("(.-)\n") do
  lines[#lines + 1] = line end return blocks(lines) end
print(markdown[[
# Title with *emphasis* #
A paragraph with **strong**, `code <b>` and
a [link](http://example.org/a_b "Title"), an ![image](x.png) & <http://auto.link>.

Second \*escaped\* ``a ` tick`` _under_score  
break

* one
* two
  goes on
  1. inner
  2. more **x**
* three

> quoted
> ## heading
> - list

```lua
if a < b then end
```
***
Setext
===
####### seven
1. first
2. second
unfinished **strong and [link](
]])
