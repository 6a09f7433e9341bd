package sandbox_test

import (
	"strings"
	"testing"

	lua "github.com/yuin/gopher-lua"
)

// joins are expressions with "..", each of which has a text as its value.
var joins = []string{
	`"a" .. "b"`, `"a" .. 1`, `1 .. 2`, `1.5 .. ""`, `-0 .. ""`, `1e100 .. ""`, `"a" .. "b" .. "c"`, `("a" .. "b") .. "c"`,
	`"a" .. ("b" .. "c")`, `"n" .. 1 + 2`, `"n" .. 2 * 3 .. "m"`, `#("a" .. "bc") .. ""`, `("x" .. "y"):rep(2)`,
	`(function(...) return "a" .. ... end)("b", "c")`, `(function(...) return ... .. "a" end)("b", "c")`,
	`(function() return "x", "y" end)() .. "z"`, `"z" .. (function() return "x", "y" end)()`,
	`tostring("a" .. "b" == "ab")`, `({"a" .. "b", k = "c" .. "d"}).k`, `({["a" .. "b"] = "v"})["a" .. "b"]`,
	`select("#", "a" .. "b", "c" .. "d") .. ""`, `(("a" .. "b"))`, `(not ("a" .. "b")) and "" or "t" .. "f"`,
	`(function() local s = "" for i = 1, 3 do s = s .. i end return s end)()`,
	`(function() local s = "" for i = #("a" .. ""), tonumber("3" .. ""), 1 do s = s .. i end return s end)()`,
	`(function() local t = {} function t.f(x) return x .. "!" end; t.g = t.f("a") .. t.f("b") return t.g end)()`,
	`(function() local s = "x" repeat local u = s .. "y"; s = u until u .. "" == "xyy" return s end)()`,
	`(function() if "a" .. "b" == "ab" then return "yes" .. "!" elseif 1 .. "" then return "no" else return "" .. "" end end)()`,
	`(function() local s = "" while s .. "" ~= "aa" do s = s .. "a" end return s end)()`,
	`(function() local s = "" for k, v in pairs({"a" .. "b"}) do s = s .. k .. v end return s end)()`,
	`(function() local m = setmetatable({}, {__concat = function(a, b) return (type(a) == "table" and "T" or a) .. (type(b) == "table" and "T" or b) end}) return m .. "a" .. m end)()`,
	`(function() local m = setmetatable({}, {__concat = function(a, b) return setmetatable({}, getmetatable(type(a) == "table" and a or b)) end, __tostring = function() return "M" end}) return tostring("a" .. m .. "b" .. "c") end)()`,
	`(function() local ok, e = pcall(function() return "a" .. nil end) return tostring(ok) end)()`,
	`(function() local ok, e = pcall(function() return {} .. "a" end) return (e:gsub("^.-: ", "")) end)()`,
	`(function() local ok, e = pcall(function() return "a" .. true .. "b" end) return (e:gsub("^.-: ", "")) end)()`,
	"\"" + strings.Repeat("a\" .. \"", 150) + "z\"",
}

// TestJoinIsTheVMs compares ".." with that of the VM alone.
func TestJoinIsTheVMs(t *testing.T) {
	for _, e := range joins {
		L := lua.NewState()
		if err := L.DoString("return " + e); err != nil {
			t.Fatalf("%s: %v", e, err)
		}
		want := L.Get(-1).String()
		L.Close()
		expr(t, "return "+e, want)
	}
}

// TestJoinIsMeasured: a text that doubles ends at the bound of texts, and one that
// is put together from many at the limit of memory.
func TestJoinIsMeasured(t *testing.T) {
	h := startLimited(t, method("local s = 'x' while true do s = s .. s end"), small)
	h.call("f").raises(t, "builtins.RuntimeError", "is too long (at most 33554432)")
	h = startLimited(t, method("local s = ('x'):rep(1e6) return #("+strings.Repeat("s .. ", 40)+"s)"), small)
	h.call("f").raises(t, "builtins.RuntimeError", "is too long (at most 33554432)")
}

// TestJoinSaysWhere: an error of ".." has the line of the operator.
func TestJoinSaysWhere(t *testing.T) {
	h := start(t, method("local x\n\nreturn 'a' .. x"))
	h.call("f").raises(t, "builtins.RuntimeError", "acme/thing.lua:5: cannot perform concat operation between string and nil")
}

func BenchmarkJoin(b *testing.B) {
	for name, body := range map[string]string{
		"two": "local s for i = 1, 1000 do s = 'item ' .. i end return s", "five": "local s for i = 1, 1000 do s = 'a' .. i .. 'b' .. i .. 'c' end return s",
		"growing": "local s = '' for i = 1, 1000 do s = s .. 'x' end return #s",
	} {
		b.Run(name, func(b *testing.B) { benchmark(b, method(body), "f") })
	}
}
