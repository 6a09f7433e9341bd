-- A call with one value assigned to its own argument.
local function single(s) s = (s:gsub("a", "b")) return s end
print(single("aa"))
local function g(a, b) return a, b end
local function swap(n, a) n, a = g(a, n), g(n, a) return n, a end
print(swap(1, 2))
local function chain(s) s = s:upper():lower():rep(2) s = (s) s = s:sub(1, -2) return s end
print(chain("aB"))
local function several(a, b, c) a, b, c = (g(c, b)), g(b, a) return a, b, c end
print(several(1, 2, 3))
local function again(s) s = (s:gsub("%w", function(c) s = "changed" return c .. c end)) return s end
print(again("ab"))
local function trim(s) s = s:match("^%s*(.-)%s*$") return s end
print(trim("  x  ") .. "|")
local function count(s, n) n = select("#", s:byte(1, -1)) s = (s:byte(1, -1)) return s, n end
print(count("abc"))
