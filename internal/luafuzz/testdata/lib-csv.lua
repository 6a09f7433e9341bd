-- A CSV reader as a coroutine, with quotes, separators, headers and conversions; and a writer.
local csv = {}
local function fields(source, sep)
  return coroutine.wrap(function()
    local at, row, line = 1, {}, 1
    while at <= #source do
      local c = source:sub(at, at)
      local field
      if c == '"' then
        local parts = {}
        local start = line
        repeat
          local close = source:find('"', at + 1, true)
          if not close then error(("line %d: quote is not closed"):format(start), 0) end
          parts[#parts + 1] = source:sub(at + 1, close - 1)
          at = close + 1
          local more = source:sub(at, at) == '"'
        until not more
        field = table.concat(parts, '"')
        local _, breaks = field:gsub("\n", "")
        line = line + breaks
        if at <= #source and not source:find("^[\r\n" .. sep .. "]", at) then
          error(("line %d: text behind a quote"):format(line), 0) end
      else
        local stop = source:find("[\r\n" .. sep .. "]", at) or #source + 1
        field = source:sub(at, stop - 1)
        at = stop
      end
      row[#row + 1] = field
      local e = source:sub(at, at)
      at = at + 1
      if e == sep then
        if at > #source or source:find("^[\r\n]", at) then row[#row + 1] = "" if at <= #source then e =
          source:sub(at, at) at = at + 1 end end
      end
      if e ~= sep or at > #source then
        if e == "\r" and source:sub(at, at) == "\n" then at = at + 1 end
        coroutine.yield(line, row)
        row, line = {}, line + 1
      end
    end
  end)
end
function csv.rows(source, options)
  options = options or {}
  local names
  local nextRow = fields(source:gsub("^\239\187\191", ""), options.sep or ",")
  return function()
    local line, row = nextRow()
    if options.header and line and not names then
      names = row
      line, row = nextRow()
    end
    if not line then return nil end
    if names then
      local record = {}
      for i, name in ipairs(names) do
        local convert = options.types and options.types[name]
        record[name] = convert and convert(row[i]) or not convert and row[i] or nil
      end
      row = record
    end
    return line, row
  end
end
function csv.write(rows, sep)
  sep = sep or ","
  local out = {}
  for _, row in ipairs(rows) do
    local cells = {}
    for i = 1, row.n or #row do
      local s = row[i] == nil and "" or tostring(row[i])
      if s:find('[\r\n"' .. sep .. "]") then s = '"' .. s:gsub('"', '""') .. '"' end
      cells[i] = s
    end
    out[#out + 1] = table.concat(cells, sep) .. "\n"
  end
  return table.concat(out)
end

local function show(source, options)
  local ok, problem = pcall(function()
    for line, row in csv.rows(source, options) do
      local cells = {}
      if options and options.header then
        for k, v in pairs(row) do cells[#cells + 1] = k .. "=" .. tostring(v) end
        table.sort(cells)
      else
        for i, v in ipairs(row) do cells[i] = ("%q"):format(v) end
      end
      print(line, #cells, table.concat(cells, " "))
    end
  end)
  if not ok then print("problem", problem) end
end
show("a,b,c\n1,2,3\n")
show('x,"quoted, with ""quotes""",z\r\n"two\nlines",,\n')
show("only")
show("")
show("\n\na\n")
show("\239\187\191name;age;score\nann;31;1.5\nbob;x;\n", {sep = ";", header = true, types = {age = tonumber, score =
  tonumber}})
show('a,"unclosed\nb')
show('ok\n"a"b,c\n')
show("a,b\n1\n2,3,4\n", {header = true})
local text = csv.write{{1, "two", 3.5}, {'say "x"', "a,b", "line\nbreak"}, {nil, true, nil, n = 3}}
print(text)
show(text)
local sum = 0
for _, r in csv.rows("k,v\na,1\nb,2\nc,x\n", {header = true, types = {v = tonumber}}) do sum = sum + (r.v or 100) end
print(sum)
