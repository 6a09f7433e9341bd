-- Binary packing: integers of any size and order, doubles, strings, varints; and a reader of values.
local function pack(format, ...)
  local out, args, at, little = {}, {...}, 1, true
  for code, size in format:gmatch("([<>%a])(%d*)") do
    size = tonumber(size)
    if code == "<" then little = true elseif code == ">" then little = false
    else
      local v = args[at]
      at = at + 1
      if code == "i" or code == "u" then
        size = size or 4
        local limit = 256 ^ size
        if v ~= math.floor(v) or v >= (code == "i" and limit / 2 or limit) or v < (code == "i" and -limit / 2 or 0)
          then error(("value %g does not fit %s%d"):format(v, code, size), 2) end
        if v < 0 then v = v + limit end
        local bytes = {}
        for i = 1, size do bytes[i] = string.char(v % 256) v = math.floor(v / 256) end
        local s = table.concat(bytes)
        out[#out + 1] = little and s or s:reverse()
      elseif code == "d" then
        local sign, mantissa, exponent = 0, 0, 0
        if v < 0 or 1 / v < 0 then sign, v = 1, -v end
        if v ~= v then mantissa, exponent = 2 ^ 51, 2047 elseif v == math.huge then exponent = 2047
        elseif v > 0 then
          mantissa, exponent = math.frexp(v)
          exponent = exponent + 1022
          if exponent <= 0 then mantissa, exponent = mantissa * 2 ^ (exponent + 52), 0 else mantissa = (mantissa * 2
            - 1) * 2 ^ 52 end
        end
        local bytes = {}
        for i = 1, 6 do bytes[i] = string.char(mantissa % 256) mantissa = math.floor(mantissa / 256) end
        bytes[7] = string.char(mantissa % 16 + exponent % 16 * 16)
        bytes[8] = string.char(math.floor(exponent / 16) + sign * 128)
        local s = table.concat(bytes)
        out[#out + 1] = little and s or s:reverse()
      elseif code == "s" then out[#out + 1] = pack((little and "<" or ">") .. "u" .. (size or 2), #v) .. v
      elseif code == "z" then out[#out + 1] = v .. "\0"
      elseif code == "v" then repeat local low = v % 128 v = math.floor(v / 128) out[#out + 1] = string.char(v > 0
        and low + 128 or low) until v == 0
      else error("unknown code " .. code, 2) end
    end
  end
  return table.concat(out)
end
local function unpackBinary(format, s, at)
  local out, n, little = {}, 0, true
  at = at or 1
  for code, size in format:gmatch("([<>%a])(%d*)") do
    size = tonumber(size)
    local function take(count) if at + count - 1 > #s then error("data is too short", 3) end at = at + count return
      s:sub(at - count, at - 1) end
    local v
    if code == "<" then little = true elseif code == ">" then little = false
    elseif code == "i" or code == "u" or code == "s" then
      size = size or (code == "s" and 2 or 4)
      local bytes = take(size)
      if little then bytes = bytes:reverse() end
      v = 0
      for i = 1, size do v = v * 256 + bytes:byte(i) end
      if code == "i" and v >= 256 ^ size / 2 then v = v - 256 ^ size end
      if code == "s" then v = take(v) end
    elseif code == "d" then
      local bytes = take(8)
      if not little then bytes = bytes:reverse() end
      local b = {bytes:byte(1, 8)}
      local exponent = b[8] % 128 * 16 + math.floor(b[7] / 16)
      local mantissa = b[7] % 16
      for i = 6, 1, -1 do mantissa = mantissa * 256 + b[i] end
      if exponent == 2047 then v = mantissa == 0 and math.huge or 0 / 0
      elseif exponent == 0 then v = math.ldexp(mantissa, -1074) else v = math.ldexp(mantissa / 2 ^ 52 + 1, exponent
        - 1023) end
      if b[8] > 127 then v = -v end
    elseif code == "z" then local stop = s:find("\0", at, true) or error("no end", 2) v = take(stop - at) take(1)
    elseif code == "v" then local scale = 1 v = 0 repeat local b = take(1):byte() v = v + b % 128 * scale scale =
      scale * 128 until b < 128
    end
    if code ~= "<" and code ~= ">" then n = n + 1 out[n] = v end
  end
  out[n + 1] = at
  return unpack(out, 1, n + 1)
end
local function hex(s) return (s:gsub(".", function(c) return ("%02x"):format(c:byte()) end)) end
print(hex(pack("<i2>i2u1i4", 1, 1, 255, -2)), hex(pack(">u3s1z", 66051, "ab", "c")), hex(pack("vvv", 0, 127, 300)))
print(unpackBinary("<i2>i2u1i4", pack("<i2>i2u1<i4", 1, -1, 255, -2)))
print(unpackBinary(">s1zv", pack(">s1zv", "text", "zero", 123456789)))
for _, v in ipairs{0, 1, -1, 0.1, -2.5, math.pi, 1e308, 5e-324, 2 ^ -1022, 1 / 0, -1 / 0, 123456789.125} do print(v,
  hex(pack(">d", v)), unpackBinary(">d", pack(">d", v)) == v) end
print(hex(pack(">d", -0)), 1 / (unpackBinary("d", pack("d", -1 / math.huge))), (unpackBinary("d", pack("d", 0 / 0))
  ~= unpackBinary("d", pack("d", 0 / 0))))
print(pcall(pack, "u1", 256), pcall(pack, "i1", -129), pcall(pack, "u2", 1.5), pcall(pack, "q", 1),
  pcall(unpackBinary, "u4", "abc"), pcall(unpackBinary, "z", "abc"))

-- Values with a tag each, tables included, shared ones once.
local write, read
local tags = {}
function write(v, seen)
  local kind = type(v)
  if kind == "nil" then return "N" elseif kind == "boolean" then return v and "T" or "F"
  elseif kind == "number" then if v % 1 == 0 and v >= 0 and v < 2 ^ 50 then return "v" .. pack("v", v) end return
    "d" .. pack("d", v)
  elseif kind == "string" then return "s" .. pack("v", #v) .. v
  elseif kind == "table" then
    if seen[v] then return "r" .. pack("v", seen[v]) end
    seen.n = seen.n + 1
    seen[v] = seen.n
    local parts, count = {}, 0
    local keys = {}
    for k in pairs(v) do keys[#keys + 1] = k end
    table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
    for _, k in ipairs(keys) do count = count + 1 parts[#parts + 1] = write(k, seen) .. write(v[k], seen) end
    return "t" .. pack("v", count) .. table.concat(parts)
  end
  error("cannot write a " .. kind, 0)
end
function read(s, at, seen)
  local tag = s:sub(at, at)
  if tag == "N" then return nil, at + 1 elseif tag == "T" or tag == "F" then return tag == "T", at + 1
  elseif tag == "v" or tag == "d" then return unpackBinary(tag, s, at + 1) end
  local n, after = unpackBinary("v", s, at + 1)
  if tag == "s" then return s:sub(after, after + n - 1), after + n elseif tag == "r" then return seen[n], after end
  local t = {}
  seen[#seen + 1] = t
  for _ = 1, n do local k, v k, after = read(s, after, seen) v, after = read(s, after, seen) t[k] = v end
  return t, after
end
local shared = {1, 2}
local value = {shared, shared, name = "x", deep = {a = {b = true}}, [1.5] = -1, flag = false}
value.me = value
local copy = read(write(value, {n = 0}), 1, {})
print(copy[1] == copy[2], copy.me == copy, copy.deep.a.b, copy[1.5], copy.flag, copy.name, #copy, copy[1][2],
  #write(value, {n = 0}))
print(pcall(write, {print}, {n = 0}), write(nil), pcall(read, "s\5ab", 1, {}), pcall(read, "t\1", 1, {}))
