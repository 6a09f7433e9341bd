package exception_test

import (
	"strings"
	"testing"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/convert"
	"github.com/hearthhost/hearth/sandbox/exception"
	"github.com/hearthhost/hearth/sandbox/lua"
	"github.com/hearthhost/hearth/sandbox/services"
	"github.com/hearthhost/hearth/sandbox/values"
)

// vault redacts the text "swordfish".
type vault struct{}

func (vault) Secret(object.ID, string) (string, bool) { return "", false }

func (vault) Redact(text string, most int) string {
	text = strings.ReplaceAll(text, "swordfish", "[secret]")
	return text[:min(most, len(text))]
}

// classes has the exceptions of a caller.
type classes func(name string) (string, bool)

func (f classes) Exception(name string) (string, bool) { return f(name) }
func (classes) Class(name string) (string, bool)       { return name, false }
func (classes) State(string, int) []int                { return nil }
func (classes) ErrorClass(e *object.Error) string      { return e.Class }
func (classes) BatchWrapper() string                   { return "" }

// python3 has the exceptions of the tests.
func python3(name string) (string, bool) { return "builtins." + name, name != "Strange" }

func newConverter(c classes) (*exception.Converter, *values.Types, *lua.Thread) {
	vm := lua.New(lua.Limits{})
	vm.Refill = func() (int64, error) { return 1 << 20, nil }
	types := values.New()
	return exception.New(types, services.Set{Secrets: vault{}}.WithDefaults(),
		func() convert.Classes { return c }), types, vm.Main
}

// TestQualify checks the class that each caller receives for a class of a script.
func TestQualify(t *testing.T) {
	python2 := func(class string) (string, bool) { return "exceptions." + class, class != "TimeoutError" }
	for _, tt := range []struct {
		names          classes
		class, message string
		args           int
		want, text     string // the class, and the one argument if it changes
	}{
		{python3, "ValueError", "m", 1, "builtins.ValueError", ""},
		{python3, "Strange", "m swordfish", 1, "builtins.RuntimeError", "Strange: m [secret]"},
		{python3, "Strange", "", 0, "builtins.RuntimeError", "Strange"},
		{python2, "TimeoutError", "late", 1, "exceptions.RuntimeError", "TimeoutError: late"},
		{python2, "UnicodeDecodeError", "m", 1, "exceptions.UnicodeError", ""},
		{python2, "UnicodeDecodeError", "m", 5, "exceptions.UnicodeDecodeError", ""},
	} {
		c, _, _ := newConverter(tt.names)
		class, args := c.Qualify(tt.class, make([]lua.Value, tt.args), tt.message)
		if class != tt.want {
			t.Errorf("Qualify(%s) = %s, want %s", tt.class, class, tt.want)
		}
		if tt.text == "" {
			if len(args) != tt.args {
				t.Errorf("Qualify(%s) has %d arguments, want %d", tt.class, len(args), tt.args)
			}
			continue
		}
		if text, _ := args[0].AsString(); len(args) != 1 || text != tt.text {
			t.Errorf("Qualify(%s) has the arguments %q, want %q", tt.class, text, tt.text)
		}
	}
}

// TestParts checks the exceptions for values of several kinds.
func TestParts(t *testing.T) {
	c, types, L := newConverter(python3)
	args := L.NewTable(1, 0)
	args.Append(lua.String("gone"))
	dict := L.NewTable(0, 3)
	dict.SetString("__exception__", lua.True)
	dict.SetString("__class__", lua.String("builtins.KeyError"))
	dict.SetString("args", args.Value())
	dict.SetMeta(types.Dict)
	for name, tt := range map[string]struct {
		raised      lua.Value
		class, text string
	}{
		"text":      {lua.String("bad \xff swordfish"), "builtins.RuntimeError", "bad \uFFFD [secret]"},
		"exception": {types.ExceptionTable(L, "KeyError", args).Value(), "builtins.KeyError", "gone"},
		"unknown class": {types.ExceptionTable(L, "Strange", args).Value(), "builtins.RuntimeError",
			"Strange: gone"},
		"received exception": {dict.Value(), "builtins.KeyError", "gone"},
	} {
		r := c.Parts(tt.raised)
		if len(r.Args) != 1 {
			t.Fatalf("%s: %d arguments, want 1", name, len(r.Args))
		}
		if text, _ := r.Args[0].AsString(); r.Class != tt.class || text != tt.text {
			t.Errorf("%s: Parts = %s(%q), want %s(%q)", name, r.Class, text, tt.class, tt.text)
		}
	}
	e := c.Error(types.ExceptionTable(L, "KeyError", args).Value())
	if e.Code != object.CodeRaised || e.Class != "KeyError" || e.Msg != "gone" {
		t.Errorf("Error = %+v", e)
	}
}

// TestDescribe checks that the position is added once, and that long texts are cut.
func TestDescribe(t *testing.T) {
	c, _, _ := newConverter(python3)
	for _, tt := range []struct{ text, want string }{
		{"gone", "KeyError: gone (a.lua:3)"},
		{"b.lua:1: gone", "KeyError: b.lua:1: gone"},
	} {
		if got := c.Describe("builtins.KeyError", []lua.Value{lua.String(tt.text)}, "a.lua:3"); got != tt.want {
			t.Errorf("Describe(%q) = %q, want %q", tt.text, got, tt.want)
		}
	}
	long := strings.Repeat("x", 1<<20)
	if got := c.Describe("E", []lua.Value{lua.String(long)}, ""); len(got) > 5<<10 {
		t.Errorf("a description has %d bytes", len(got))
	}
	if got := c.Clean(long); len(got) > exception.MaxBytes+10 {
		t.Errorf("a message has %d bytes", len(got))
	}
}
