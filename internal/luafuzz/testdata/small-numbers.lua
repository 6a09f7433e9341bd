-- Text read as numbers, and numbers written as text.
for _, s in ipairs{"010", "10", "0x10", "0X1f", "0b11", "0o17", "1_000", " 7 ", "7 8", "", " ", ".5", "5.", ".",
  "1e2", "1e", "0x", "1e400", "-1", "- 1", "+1", "--1", "inf", "nan", "0x1p4", "1f", "1,5"} do
  print(("%q"):format(s), tonumber(s), pcall(function() return s + 0 end))
end
print("010" + 1, "0x10" * 1, "10" / "4", -"2", "3" ^ "2", "7" % "4", 10 .. "")
for _, base in ipairs{2, 8, 10, 16, 36} do print(base, tonumber("10", base), tonumber("z", base), tonumber("7f",
  base), tonumber(" 11 ", base), tonumber("", base)) end
print(pcall(tonumber, "1", 1), pcall(tonumber, "1", 37), tonumber("10", "16"), tonumber(10, 2), pcall(tonumber, {},
  2))
print(1e14, 1e15, 123456789012345, 2 ^ 53, 2 ^ 63, 1e100, 0.1, 1 / 3, 100, 1e-10, 123.456e2, -0.5, 3.0)
print(1 / 0, -1 / 0, 1e308 * 10, -1e308 * 10)
print(tostring(0 / 0):gsub("-", ""), (0 / 0) == (0 / 0))
print(("%d %i %u"):format(3.99, -3.99, 3), ("%5.1f|%-8.3e|%g"):format(3.14159, 31415.9,
  1e20), ("%x %X %o"):format(255, 255, 8))
print(math.floor(-0.5), math.ceil(-0.5), math.fmod(-7, 3), -7 % 3, 7 % -3, math.modf(1 / 0), math.modf(-1 / 0))
print(math.modf(3.7), math.modf(-3.7), math.frexp(10), math.ldexp(0.5, 3), math.huge, -math.huge)
print(5 % 0 ~= 5 % 0, pcall(math.fmod, 1, 0) and "no error", 2 ^ 0.5, 10 ^ -2, (-2) ^ 3, (-8) ^ (1 / 3) ~= (-8) ^ (1
  / 3))
print(1e15 .. "", 0.1 .. "|" .. -1 .. "|" .. 1e300, 1 .. 2)
