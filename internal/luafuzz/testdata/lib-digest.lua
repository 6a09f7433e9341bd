-- base64, hexadecimal, CRC-32, Adler-32 and SHA-256 by arithmetic on numbers.
local floor, char, byte, format = math.floor, string.char, string.byte, string.format
local function bits(f)
  local cache = {}
  for a = 0, 15 do cache[a] = {} for b = 0, 15 do
    local r, p, x, y = 0, 1, a, b
    for _ = 1, 4 do r = r + p * f(x % 2, y % 2) p, x, y = p * 2, floor(x / 2), floor(y / 2) end
    cache[a][b] = r
  end end
  return function(a, b)
    local r, p = 0, 1
    while a > 0 or b > 0 do
      r, p = r + p * cache[a % 16][b % 16], p * 16
      a, b = floor(a / 16), floor(b / 16)
    end
    return r
  end
end
local xor = bits(function(a, b) return (a + b) % 2 end)
local band = bits(function(a, b) return a * b end)
local function bnot(a) return 4294967295 - a end
local function rshift(a, n) return floor(a / 2 ^ n) end
local function rotate(a, n) return (a % 2 ^ n) * 2 ^ (32 - n) + floor(a / 2 ^ n) end

local alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
local function encode64(s)
  return (s:gsub("..?.?", function(group)
    local a, b, c = group:byte(1, 3)
    local n = a * 65536 + (b or 0) * 256 + (c or 0)
    local out = ""
    for i = 3, 0, -1 do
      local v = floor(n / 64 ^ i) % 64
      out = out .. ((i == 0 and not c or i == 1 and not b) and "=" or alphabet:sub(v + 1, v + 1))
    end
    return out
  end))
end
local values = {}
for i = 1, 64 do values[alphabet:sub(i, i)] = i - 1 end
local function decode64(s)
  s = s:gsub("[^%w+/=]", "")
  return (s:gsub("(.)(.)(.)(.)", function(a, b, c, d)
    local n = values[a] * 262144 + values[b] * 4096 + (values[c] or 0) * 64 + (values[d] or 0)
    return char(floor(n / 65536), floor(n / 256) % 256, n % 256):sub(1, c == "=" and 1 or d == "=" and 2 or 3)
  end))
end
local function hex(s) return (s:gsub(".", function(c) return format("%02x", byte(c)) end)) end
local function unhex(s) return (s:gsub("%x%x", function(h) return char(tonumber(h, 16)) end)) end

local crcTable
local function crc32(s)
  if not crcTable then
    crcTable = {}
    for i = 0, 255 do
      local c = i
      for _ = 1, 8 do c = c % 2 == 1 and xor(3988292384, floor(c / 2)) or floor(c / 2) end
      crcTable[i] = c
    end
  end
  local crc = 4294967295
  for i = 1, #s do crc = xor(floor(crc / 256), crcTable[xor(crc % 256, s:byte(i))]) end
  return bnot(crc)
end
local function adler32(s)
  local a, b = 1, 0
  for i = 1, #s do a = (a + s:byte(i)) % 65521 b = (b + a) % 65521 end
  return b * 65536 + a
end

local function fraction(x) return floor((x - floor(x)) * 4294967296) end
local K, H, primes, candidate = {}, {}, 0, 2
while primes < 64 do
  local prime = true
  for d = 2, floor(candidate ^ 0.5) do if candidate % d == 0 then prime = false break end end
  if prime then
    primes = primes + 1
    if primes <= 8 then H[primes] = fraction(candidate ^ 0.5) end
    K[primes] = fraction(candidate ^ (1 / 3))
  end
  candidate = candidate + 1
end
local function sha256(message)
  local length = #message * 8
  message = message .. "\128" .. ("\0"):rep((55 - #message) % 64)
  for i = 7, 0, -1 do message = message .. char(floor(length / 256 ^ i) % 256) end
  local state = {unpack(H)}
  for chunk = 1, #message, 64 do
    local w = {}
    for i = 1, 16 do
      local a, b, c, d = message:byte(chunk + i * 4 - 4, chunk + i * 4 - 1)
      w[i] = ((a * 256 + b) * 256 + c) * 256 + d
    end
    for i = 17, 64 do
      local x, y = w[i - 15], w[i - 2]
      local s0 = xor(xor(rotate(x, 7), rotate(x, 18)), rshift(x, 3))
      local s1 = xor(xor(rotate(y, 17), rotate(y, 19)), rshift(y, 10))
      w[i] = (w[i - 16] + s0 + w[i - 7] + s1) % 4294967296
    end
    local a, b, c, d, e, f, g, h = unpack(state)
    for i = 1, 64 do
      local s1 = xor(xor(rotate(e, 6), rotate(e, 11)), rotate(e, 25))
      local choice = xor(band(e, f), band(bnot(e), g))
      local t1 = (h + s1 + choice + K[i] + w[i]) % 4294967296
      local s0 = xor(xor(rotate(a, 2), rotate(a, 13)), rotate(a, 22))
      local majority = xor(xor(band(a, b), band(a, c)), band(b, c))
      local t2 = (s0 + majority) % 4294967296
      h, g, f, e, d, c, b, a = g, f, e, (d + t1) % 4294967296, c, b, a, (t1 + t2) % 4294967296
    end
    for i, v in ipairs{a, b, c, d, e, f, g, h} do state[i] = (state[i] + v) % 4294967296 end
  end
  return (("%08x"):rep(8)):format(unpack(state))
end
for _, s in ipairs{"", "a", "ab", "abc", "hello world", "\0\255\128", ("long "):rep(9)} do
  print(encode64(s), decode64(encode64(s)) == s, hex(s):sub(1, 20), unhex(hex(s)) ==
    s, ("%08x %08x"):format(crc32(s), adler32(s)))
end
print(sha256("")) print(sha256("abc"))
print(decode64("aGVs\nbG8="), pcall(decode64, "!!!!"), xor(12, 10), band(12, 10), bnot(0), rotate(1, 1))
