package stdlib_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hearthhost/hearth/sandbox/lua"
	"github.com/hearthhost/hearth/sandbox/lua/stdlib"
)

// stockFile is a file of PUC's test suite for Lua 5.1. The suite is part of the module that the benchmarks of package
// lua compare with.
type stockFile struct {
	name  string
	skip  string // reason for not running the file
	edits []edit
}

// edit replaces a part that cannot work here.
type edit struct{ old, now, why string }

var stockFiles = []stockFile{
	{name: "api", skip: "it tests the C API, by a library in C"},
	{name: "attrib", skip: "it tests require by files that it writes; TestRequire of package sandbox does that"},
	{name: "big", skip: "it makes strings of gigabytes"},
	{name: "calls", edits: []edit{
		{"assert(debug.getinfo(a).source == \"modname\")", "", "the source is shown as a chunk's name, never as it is"},
		{"string.dump(loadstring(", "(loadstring(", "there is no string.dump"},
	}},
	{name: "checktable", skip: "it tests the C API"},
	{name: "closure", edits: []edit{
		{"--[[\n", "\n", "the copy has these parts commented out"},
		{"--]]\n", "\n", "as above"},
		{"while x[1] do ", "for i = 1, 10 do ", "no table is weak"},
		{"assert(C[1] == nil)", "", "as above"},
		{"debug.setfenv(co, a)\nassert(debug.getfenv(co) == a)\n" +
			"assert(select(2, coroutine.resume(co)) == a)\nassert(select(2, coroutine.resume(co)) == a.a)\n", "",
			"debug looks and does not change"},
	}},
	{name: "code", skip: "it compares the instructions of PUC's own machine"},
	{name: "constructs"},
	{name: "db", skip: "it tests hooks and access to local variables of others, which debug does not offer"},
	{name: "errors", edits: []edit{
		{`checkmessage("getmetatable(io.stdin).__gc()", "no value")`, "", "there is no file to be closed"},
		{"local a,b = loadstring(s)\nassert(string.find(b, \"line 3\"))",
			"local a,b = loadstring(s .. (' end'):rep(71))\nassert(string.find(b, \"line 3\"))",
			"limits are checked after the whole source was parsed"}}},
	{name: "events", edits: []edit{
		{"--[[\n", "\n", "the copy has a part commented out"},
		{"--]]\n", "\n", "as above"},
		{"debug.setmetatable(10, mt)", "do return end",
			"debug looks and does not change; the rest of the file is about metatables of numbers and nil"},
	}},
	{name: "files", skip: "there are no files"},
	{name: "gc", skip: "memory is collected by Go, and scripts cannot watch it"},
	{name: "literals"},
	{name: "locals"},
	{name: "main", skip: "it tests the program lua"},
	{name: "math", edits: []edit{
		{"assert(tonumber('\\n  -10  \\n', 36) == -36)", "", "PUC's own result on 64 bits is another"},
		{"assert(tonumber('-fFfa', 16) == -(10+(16*(15+(16*(15+(16*15)))))))", "", "as above"},
		{"assert(tonumber('-fffffFFFFF', 16)-1 == -2^40)", "", "as above"},
		{"if rawget(_G, \"_soft\") then return end", "do return end", "the rest writes a file"},
	}},
	{name: "nextvar"},
	{name: "pm", edits: []edit{{"for k=i, j do; ", "for k=i, j do ",
		"no empty statement exists in Lua 5.1: lua5.1 refuses the file"}}},
	{name: "sort"},
	{name: "strings"},
	{name: "vararg", edits: []edit{{"--[[\n", "\n", "the copy has a part commented out"},
		{"--]]\n", "\n", "as above"}}},
	{name: "verybig", skip: "it writes a program of megabytes into a file"},
}

// TestStock runs PUC's test suite.
func TestStock(t *testing.T) {
	list := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/yuin/gopher-lua")
	out, err := list.Output()
	dir := strings.TrimSpace(string(out))
	if err != nil || dir == "" {
		t.Skipf("SKIPPED: the module with the stock tests was not found: %v", err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "_lua5.1-tests", "*.lua"))
	if err != nil {
		t.Fatal(err)
	}
	if want := len(stockFiles) + 1; len(files) != want { // all.lua only runs the others
		t.Errorf("there are %d files, want %d: each needs a row", len(files), want)
	}
	for _, f := range stockFiles {
		t.Run(f.name, func(t *testing.T) {
			if f.skip != "" {
				return
			}
			b, err := os.ReadFile(filepath.Join(dir, "_lua5.1-tests", f.name+".lua"))
			if err != nil {
				t.Fatal(err)
			}
			text := string(b)
			for _, e := range f.edits {
				if !strings.Contains(text, e.old) {
					t.Errorf("nothing to edit: %s", e.old)
				}
				text = strings.ReplaceAll(text, e.old, e.now)
			}
			if _, err := run(f.name+".lua", text); err != nil {
				t.Error(err)
			}
		})
	}
}

// run runs a chunk with the libraries and returns its printed output.
func run(chunk, source string) (output string, err error) {
	var out strings.Builder
	vm := lua.New(lua.Limits{})
	deadline := time.Now().Add(time.Minute)
	vm.Refill = func() (int64, error) {
		if time.Now().After(deadline) {
			return 0, errors.New("the program does not end")
		}
		return 100_000, nil
	}
	lib := stdlib.New(vm, stdlib.Config{Print: func(_ *lua.Thread, line string) { out.WriteString(line + "\n") }})
	g := lib.Globals()
	vm.Main.SetGlobals(g)
	p, err := lua.Compile(chunk, source)
	if err != nil {
		return "", err
	}
	vm.Main.Push(lua.NewFunction(p, g).Value())
	err = vm.Run(0, func(L *lua.Thread, _ lua.Value) string { return L.Traceback("", 1) })
	return out.String(), err
}
