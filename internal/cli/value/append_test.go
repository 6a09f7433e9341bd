package value

import (
	"encoding/json"
	"math"
	"testing"
	"time"

	"github.com/hearthhost/hearth/codec"
)

func TestAppend(t *testing.T) {
	t.Parallel()
	tests := []struct {
		in   any
		want string
	}{
		{nil, `null`},
		{true, `true`},
		{int64(-3), `-3`},
		{bigInt("123456789012345678901234567890"), `123456789012345678901234567890`},
		{3.0, `3.0`},
		{0.1, `0.1`},
		{1e300, `1e+300`},
		{math.NaN(), `"NaN"`},
		{math.Inf(1), `"Inf"`},
		{math.Inf(-1), `"-Inf"`},
		{complex(1, -2), `"(1-2i)"`},
		{`<"&'>`, `"<\"&'>"`},
		{"a\n\t\\\x00\x1b[2J\u0085é\U0001f600", `"a\n\t\\\u0000\u001b[2J\u0085é😀"`},
		{"a\xed\xa0\x80b\xffc", `"a\ud800b\ufffdc"`},
		{[]byte("hi"), `{"data":"aGk=","encoding":"base64"}`},
		{[]any{int64(1), []any{}}, `[1,[]]`},
		{codec.Tuple{int64(1), "x"}, `[1,"x"]`},
		{codec.Set{"x"}, `["x"]`},
		{map[string]any{"b": int64(2), "a": nil}, `{"a":null,"b":2}`},
		{codec.Dict{{Key: "z", Value: int64(1)}, {Key: int64(1), Value: "y"}, {Key: codec.Tuple{int64(1)}, Value: nil}},
			`{"z":1,"1":"y","[1]":null}`},
		{time.Date(2026, 2, 3, 4, 5, 6, 500e6, time.UTC), `"2026-02-03T04:05:06.5"`},
		{codec.Date(1), `"0001-01-01"`},
		{codec.Date(739650), `"2026-02-03"`},
		{&codec.Exception{Class: "ValueError", Args: []any{"why", int64(2)},
			Attributes: map[string]any{"code": int64(7)}},
			`{"__exception__":true,"__class__":"ValueError","args":["why",2],"attributes":{"code":7}}`},
	}
	for _, tt := range tests {
		got := string(Append(nil, tt.in))
		if got != tt.want {
			t.Errorf("Append(%#v) = %s, want %s", tt.in, got, tt.want)
		}
		if !json.Valid([]byte(got)) {
			t.Errorf("Append(%#v) = %s, which is not JSON", tt.in, got)
		}
	}
}

func TestExceptionText(t *testing.T) {
	t.Parallel()
	tests := []struct {
		class string
		args  []any
		want  string
	}{
		{"ValueError", []any{"why"}, "ValueError: why"},
		{"builtins.ValueError", []any{"why", int64(42)}, `ValueError: ["why",42]`},
		{"Pyro5.errors.DaemonError", nil, "DaemonError"},
		{"KeyError", []any{int64(3)}, "KeyError: 3"},
	}
	for _, tt := range tests {
		if got := ExceptionText(tt.class, tt.args); got != tt.want {
			t.Errorf("ExceptionText(%q, %v) = %q, want %q", tt.class, tt.args, got, tt.want)
		}
	}
}
