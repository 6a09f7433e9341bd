package convert

import (
	"math"
	"strings"
	"testing"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/codec/pyro"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/budget"
	"github.com/hearthhost/hearth/sandbox/lua"
	"github.com/hearthhost/hearth/sandbox/values"
)

// encode runs a program and encodes its results as JSON. It returns the document, or the class and message of the
// exception that replaces them.
func encode(t *testing.T, source string, textLimit int) string {
	t.Helper()
	vm := lua.New(lua.Limits{})
	types := values.New()
	_, enc := New(Config{
		Thread: vm.Main,
		Types:  types,
		Meter:  budget.New(budget.Config{VM: vm, Memory: 1 << 30, Held: func(int64) int64 { return 0 }}),
		Redact: func(text string, most int) string { return text[:min(most, len(text))] },
		Qualify: func(class string, args []lua.Value, _ string) (string, []lua.Value) {
			return "builtins." + class, args
		},
		OnLimit: func(err *object.Error) { t.Errorf("a limit was exceeded: %v", err) },
	})
	globals := lua.NewTable(0, 1)
	hearth := lua.NewTable(0, 1)
	for name, f := range types.Functions() {
		values.SetNative(hearth, name, f)
	}
	hearth.SetString("null", types.Null)
	globals.SetString("hearth", hearth.Value())
	proto, err := lua.Compile("test", source)
	if err != nil {
		t.Fatal(err)
	}
	vm.Main.Push(lua.NewFunction(proto, globals).Value())
	if err := vm.Run(0, nil); err != nil {
		t.Fatal(err)
	}
	out := codec.ByID(codec.JSON).NewEncoder(nil)
	enc.SetTextLimit(textLimit)
	enc.Start(out, pyro.ObjectCalls, "result")
	if err := enc.Results(vm.Main); err != nil {
		class, msg, ok := enc.Failure(err)
		if !ok {
			t.Fatalf("%s: %v", source, err)
		}
		return class + ": " + msg
	}
	doc, err := out.Document()
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(doc), " ", "")
}

func TestEncoder(t *testing.T) {
	deep := strings.Repeat("{", maxDepth+1) + strings.Repeat("}", maxDepth+1)
	for _, tt := range []struct{ source, want string }{
		{"return", "null"},
		{"return nil, 1", "[null,1]"},
		{"return 1, 1.5, true, 'x'", `[1,1.5,true,"x"]`},
		{"return {}", "[]"},
		{"return {1, 2, {a = 3}}", `[1,2,{"a":3}]`},
		{"return hearth.dict{}", "{}"},
		{"return hearth.list{1, nil, 3}", "[1,null,3]"},
		{"return hearth.int('9007199254740993')", "9007199254740993"},
		{"local t = {} t.b = 1 t.a = 2 return t", `{"b":1,"a":2}`},
		{"local t = {1} t.t = {} t.t.t = t return t", "TypeError: result.t.t is a table that contains itself"},
		{"return {a = {1, function() end}}", "TypeError: result.a[2] is a function: only data can be sent"},
		{"return 1, function() end", "TypeError: result[2] is a function: only data can be sent"},
		{"return hearth.list{x = 1}", "TypeError: result is a list with other keys than positions"},
		{"return {a = 'a\\255b'}", "TypeError: result.a is a text that is not UTF-8; hearth.bytes makes bytes of it"},
		{"return {'12345', '678901'}", "TypeError: result[2] has more than 10 bytes in all"},
		{"return {hearth.kw{a = 1}}",
			"TypeError: result[1] is made by hearth.kw, which belongs at the end of a proxy call's arguments"},
	} {
		if got := encode(t, tt.source, 10); got != tt.want {
			t.Errorf("%s\ngot  %s\nwant %s", tt.source, got, tt.want)
		}
	}
	if got := encode(t, "return "+deep, 10); !strings.HasSuffix(got, "is nested deeper than 64") {
		t.Errorf("a table that is nested deeply: %s", got)
	}
	got := encode(t, "return hearth.exception('ValueError', 'no')", math.MaxInt32)
	if want := `"builtins.ValueError"`; !strings.Contains(got, want) {
		t.Errorf("an exception: %s, want %s in it", got, want)
	}
}
