package modules_test

import (
	"strings"
	"testing"

	"github.com/hearthhost/hearth/sandbox/lua"
	"github.com/hearthhost/hearth/sandbox/lua/stdlib"
	"github.com/hearthhost/hearth/sandbox/modules"
)

// run runs a program in a new VM and returns its result as text, or the error that was raised.
func run(t *testing.T, library *modules.Library, source string) string {
	t.Helper()
	vm := lua.New(lua.Limits{})
	vm.Refill = func() (int64, error) { return 1 << 20, nil }
	var loader *modules.Loader
	searchers := modules.Searchers(func(*lua.Thread) *modules.Loader { return loader })
	shown := func(text string, n int) string { return text[:min(n, len(text))] }
	loader = modules.NewLoader(vm, library, searchers, shown)
	template := stdlib.NewTemplate()
	template.Add("", map[string]lua.Native{"require": loader.Require, "module": loader.Module})
	template.Add("package", map[string]lua.Native{"seeall": loader.SeeAll})
	globals := stdlib.New(vm, stdlib.Config{Template: template}).Globals()
	vm.Main.SetGlobals(globals)
	loader.Begin(globals)
	proto, err := modules.Compile("test.lua", []byte(source), 1<<10)
	if err != nil {
		t.Fatal(err)
	}
	vm.Main.Push(lua.NewFunction(proto, globals).Value())
	if err := vm.Run(0, nil); err != nil {
		return err.Error()
	}
	return lua.Describe(vm.Main.Get(1))
}

func TestRequire(t *testing.T) {
	library := modules.NewLibrary("acme", map[string][]byte{
		"a":      []byte("n = (n or 0) + 1 return {n = n}"),
		"b.init": []byte("return 'init of ' .. ..."),
		"old":    []byte("module(..., package.seeall) function f() return type(print) end"),
		"large":  []byte("return '" + strings.Repeat("x", 2000) + "'"),
		"wrong":  []byte("return +"),
	}, 1000)
	for source, want := range map[string]string{
		"require 'a' require 'a' return require('a').n":                  "1",
		"return require 'b'":                                             "init of b",
		"return require('old').f()":                                      "function",
		"return package.path":                                            "acme/lib/?.lua;acme/lib/?/init.lua",
		"package.preload.p = function() return 5 end return require 'p'": "5",
		"return require 'x'": "test.lua:1: module 'x' not found:\n\tno field package.preload['x']" +
			"\n\tno file 'acme/lib/x.lua'\n\tno file 'acme/lib/x/init.lua'",
		"return select(2, pcall(require, 'large'))": "error loading module 'large' from file 'acme/lib/large.lua':" +
			"\n\tacme/lib/large.lua: 2009 bytes of source (at most 1000)",
		"return select(2, pcall(require, 'wrong'))": "error loading module 'wrong' from file 'acme/lib/wrong.lua':" +
			"\n\tacme/lib/wrong.lua:1: unexpected symbol near '+'",
	} {
		if got := run(t, library, source); got != want {
			t.Errorf("%s\ngot  %s\nwant %s", source, got, want)
		}
	}
}

// TestCompileRejects checks sources that are rejected before they are parsed.
func TestCompileRejects(t *testing.T) {
	for source, want := range map[string]string{
		"\x1bLua":               "f.lua: compiled Lua is not accepted",
		strings.Repeat(" ", 11): "f.lua: 11 bytes of source (at most 10)",
		"if x":                  "(is an 'end' missing?)",
	} {
		if _, err := modules.Compile("f.lua", []byte(source), 10); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Compile(%q) = %v, want %q", source, err, want)
		}
	}
	if _, err := modules.Compile("f.lua", []byte("\xef\xbb\xbfx = 1"), 10); err != nil {
		t.Errorf("a byte order mark: %v", err)
	}
}
