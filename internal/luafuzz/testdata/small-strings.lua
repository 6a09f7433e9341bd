-- Strings, patterns and formats.
print(#"\0\1\255", ("a\0b"):byte(1, -1), ("a\0b"):len(), "a\0b" == "a\0b", "a\0b" < "a\0c", ("a\0b"):upper() ==
  "A\0B")
print(("hello world"):find("o w"), ("hello"):find("l+"), ("hello"):find("xyz"), ("a.b"):find(".", 2,
  true), ("hello"):find("(l)(l)"))
print(("key = value"):match("(%w+)%s*=%s*(%w+)"), ("2024-01-31"):match("(%d+)-(%d+)-(%d+)"), ("[[x]]"):match("%[%[(.-)%]%]"))
print(("abc"):gsub("", "-"), ("abc"):gsub(".", {a = "1", b = "B", c = false}), ("abc"):gsub("%w",
  "%0%0"), ("abc"):gsub("b", "%%"))
print(("hello"):gsub("l", "L", 1), ("hello"):gsub("(h)(e)", "%2%1"), ("x"):gsub("x", function()
  end), ("THE (quick) fox"):find("%((%a+)%)"))
print(("f(a(b)c)d"):match("%b()"), ("THE quick"):gsub("%f[%a]%a+", string.lower), ("a1b2"):gsub("%d", function(d)
  return d * 2 end))
print(("  trim  "):match("^%s*(.-)%s*$") .. "|", ("a,b,,c"):gsub(",", ";"), ("%d"):gsub("%%d",
  "x"), ("a-b"):gsub("%-", "+"))
print(pcall(string.gsub, "a", "(", "x"), pcall(string.gsub, "a", "%", "x"), pcall(string.gsub, "a", "[a", "x"),
  pcall(string.gsub, "a", "a", "%2"))
print(pcall(string.find, "a", "%f"), pcall(string.find, "a", "%b"), pcall(string.rep, "x", -1), pcall(string.gsub,
  "a", "a", function() return {} end))
for k, v in ("a=1, b=2"):gmatch("(%w+)=(%w+)") do print(k, v) end
for p in ("abc"):gmatch("()") do print(p) end
print(("%q"):format('a "quoted"\n\\ \r \0 end'), ("%-5s|%5s|%.2s"):format("ab", "cd", "efg"), ("%c%c"):format(72,
  105), ("%%"):format())
print(("%5d|%-5d|%05d|%+d|% d"):format(42, 42, 42, 42, 42), ("%#x %#o"):format(255,
  8), ("%e"):format(12345.678), ("%10.4f|"):format(math.pi))
print(("%g %g %g %g"):format(100000, 1e6, 0.0001, 0.00001), pcall(string.format, "%s", nil), pcall(string.format,
  "%y", 1), pcall(string.format, "%"))
print(pcall(string.format, "%123d", 1), pcall(string.format, "%.123f", 1), pcall(string.char, 256),
  pcall(string.char, -1), string.char())
print(("abc"):reverse(), ("abc"):sub(2, 10), ("abc"):sub(-100, 2), ("abc"):sub(3, 2), ("abc"):sub(0), ("x"):rep(0)
  == "", ("ab"):rep(3))
print("a" < "b", "a" < "B", "" < "a", "a" < "aa", "Z" < "a", "10" < "9", ("x"):len(), #"x" + 1)
