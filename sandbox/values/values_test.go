package values_test

import (
	"testing"

	"github.com/hearthhost/hearth/sandbox/lua"
	"github.com/hearthhost/hearth/sandbox/lua/stdlib"
	"github.com/hearthhost/hearth/sandbox/values"
)

// eval runs a program in a VM with the functions of values in the global table hearth. It returns the result, or the
// error that was raised.
func eval(t *testing.T, source string) string {
	t.Helper()
	vm := lua.New(lua.Limits{})
	vm.Refill = func() (int64, error) { return 1 << 20, nil }
	types := values.New()
	template := stdlib.NewTemplate()
	template.Add("hearth", types.Functions())
	globals := stdlib.New(vm, stdlib.Config{Template: template}).Globals()
	globals.GetString("hearth").AsTable().SetString("null", types.Null)
	proto, err := lua.Compile("test", source)
	if err != nil {
		t.Fatal(err)
	}
	vm.Main.Push(lua.NewFunction(proto, globals).Value())
	if err := vm.Run(0, nil); err != nil {
		return err.Error()
	}
	return types.PlainText(vm.Main.Get(1))
}

func TestFunctions(t *testing.T) {
	for source, want := range map[string]string{
		"return hearth.null":                                                   "None",
		"return hearth.bytes('ab') .. 'c'":                                     "abc",
		"return #hearth.bytes('abc')":                                          "3",
		"return hearth.bytes('abcd'):sub(2, 3)":                                "bc",
		"return hearth.bytes('ab'):base64()":                                   "YWI=",
		"return hearth.int('9007199254740993') + 1":                            "9007199254740994",
		"return hearth.int(-7) / 2":                                            "-4",
		"return hearth.int(-7) % 2":                                            "1",
		"return tostring(hearth.float(2))":                                     "2.0",
		"return hearth.float(2) * 3":                                           "6",
		"return tostring(hearth.complex(1, 2) * hearth.complex(0, 1))":         "(-2+1j)",
		"return hearth.datetime('2026-01-31T12:00:00')":                        "2026-01-31T12:00:00",
		"return hearth.datetime('2026-01-31T12:00:00'):date()":                 "2026-01-31",
		"return hearth.date('9999-12-31'):day()":                               "3652059",
		"return hearth.exception('ValueError', 'bad', 1)":                      "ValueError: bad",
		"return hearth.typeof(hearth.list{1}) .. hearth.typeof(hearth.set(1))": "listset",
		"return #hearth.tuple(1, nil)":                                         "2",
		"return getmetatable(hearth.dict{})":                                   "dict",
		"return hearth.typeof(hearth.null) .. hearth.typeof({})":               "nulltable",
	} {
		if got := eval(t, source); got != want {
			t.Errorf("%s\ngot  %s\nwant %s", source, got, want)
		}
	}
}
