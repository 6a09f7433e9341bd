package value

import (
	"math/big"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func bigInt(s string) *big.Int {
	n, ok := new(big.Int).SetString(s, 10)
	if !ok {
		panic(s)
	}
	return n
}

var compareBig = cmp.Comparer(func(a, b *big.Int) bool { return a.Cmp(b) == 0 })

func TestParse(t *testing.T) {
	t.Parallel()
	tests := []struct {
		in   string
		want any
	}{
		{"5", int64(5)},
		{"-5", int64(-5)},
		{"9223372036854775808", bigInt("9223372036854775808")},
		{"1.0", 1.0},
		{"1e3", 1000.0},
		{"true", true},
		{"null", nil},
		{`"two words"`, "two words"},
		{`"5"`, "5"},
		{"bob", "bob"},
		{"two words", "two words"},
		{"", ""},
		{"1.2.3", "1.2.3"},
		{"-x", "-x"},
		{`[1, 2.5, "x", []]`, []any{int64(1), 2.5, "x", []any{}}},
		{`{"a": {"b": 1}}`, map[string]any{"a": map[string]any{"b": int64(1)}}},
		{`{"data": "aGk=", "encoding": "base64"}`, []byte("hi")},
		{`{"data": "?", "encoding": "base64"}`, map[string]any{"data": "?", "encoding": "base64"}},
	}
	for _, tt := range tests {
		got, err := Parse(tt.in)
		if err != nil {
			t.Errorf("Parse(%q): %v", tt.in, err)
			continue
		}
		if diff := cmp.Diff(tt.want, got, compareBig); diff != "" {
			t.Errorf("Parse(%q): -want +got\n%s", tt.in, diff)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct{ in, want string }{
		{"[1, 2", "is not JSON"},
		{`{a: 1}`, "is not JSON"},
		{`"open`, "is not JSON"},
		{`[1] [2]`, "unexpected text"},
		{"True", "write true"},
		{"None", "write null"},
		{"a\xff", "not UTF-8"},
		{"1e999", "range"},
		{"[" + strings.Repeat("9", maxDigits+1) + "]", "digits"},
	}
	for _, tt := range tests {
		if v, err := Parse(tt.in); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("Parse(%.40q) = %v, %v, want an error with %q", tt.in, v, err, tt.want)
		}
	}
}

// FuzzArgument: every accepted value is printed in a form that is accepted as the same value.
func FuzzArgument(f *testing.F) {
	for _, s := range []string{"5", "-5", "1e3", "bob", `"x"`, `[1, [2.5, null]]`, `{"a": true}`, "[",
		`{"data":"aGk=","encoding":"base64"}`, "99999999999999999999"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, err := Parse(s)
		if err != nil {
			return
		}
		shown := string(Append(nil, v))
		again, err := Parse(shown)
		if err != nil {
			t.Fatalf("%q was read and shown as %s, which is refused: %v", s, shown, err)
		}
		if twice := string(Append(nil, again)); twice != shown {
			t.Fatalf("%q is shown as %s, and that as %s", s, shown, twice)
		}
	})
}
