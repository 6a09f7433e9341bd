package web_test

import (
	"math/big"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/codec/web"
	"github.com/hearthhost/hearth/object"
)

// decode returns the value of a document.
func decode(doc string, lim codec.Limits) (any, error) {
	var b codec.Builder
	err := web.Decode([]byte(doc), lim, &b)
	return b.Value(), err
}

var equal = cmp.Comparer(func(a, b *big.Int) bool { return a.Cmp(b) == 0 })

func TestDecode(t *testing.T) {
	t.Parallel()
	huge, _ := new(big.Int).SetString("123456789012345678901234567890", 10)
	for doc, want := range map[string]any{
		" [1, -0, 9223372036854775807, -9223372036854775808]\t": []any{int64(1), int64(0), int64(1<<63 - 1),
			int64(-1 << 63)},
		"123456789012345678901234567890":         huge,
		"[1.0, 1e2, -2.5E-1, 0.0]":               []any{1.0, 100.0, -0.25, 0.0},
		`{"a": {}, "b": [], "": null}`:           map[string]any{"a": map[string]any{}, "b": []any{}, "": nil},
		`"\"\\\/\b\f\n\r\t\u0041\u00e9é"`:        "\"\\/\b\f\n\r\tAéé",
		`"\ud83d\ude00😀"`:                        "😀😀",
		`"\u0000"`:                               "\x00",
		`{"data": "/wA=", "encoding": "base64"}`: []byte{255, 0},
		`{"encoding": "base64", "data": ""}`:     []byte{},
		`{"data": "/wA", "encoding": "base64"}`:  map[string]any{"data": "/wA", "encoding": "base64"},
		`{"data": "/wB=", "encoding": "base64"}`: map[string]any{"data": "/wB=", "encoding": "base64"},
		`{"data": "AA==", "encoding": "hex"}`:    map[string]any{"data": "AA==", "encoding": "hex"},
		`{"data": "A", "encoding": "base64", "x": 1}`: map[string]any{"data": "A", "encoding": "base64",
			"x": int64(1)},
		`{"__class__": "x"}`: map[string]any{"__class__": "x"},
		"true":               true,
	} {
		got, err := decode(doc, codec.Limits{})
		if diff := cmp.Diff(want, got, equal); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got)\n%s", doc, err, diff)
		}
	}
}

// TestDecodeRejects has documents that two programs could read differently, and those beyond a bound.
func TestDecodeRejects(t *testing.T) {
	t.Parallel()
	many := `{"k0": 0`
	for i := range 40 {
		many += `, "` + strings.Repeat("k", i+2) + `": 0`
	}
	for doc, want := range map[string]string{
		"":                                    "ends where a value must follow",
		" ":                                   "ends where a value must follow",
		`{"a": 1, "a": 2}`:                    `the key "a" at byte 9 occurs twice`,
		`{"a": 1, "\u0061": 2}`:               `the key "a" at byte 9 occurs twice`,
		`{"\u0061": 1, "b": "\u0062", "a":2}`: `the key "a"`,
		many + `, "kk": 1}`:                   `the key "kk"`,
		`[{"x": {"a": 1, "a": 1}}]`:           `the key "a"`,
		`{"data": "", "data": ""}`:            `the key "data"`,
		"[1] 2":                               "extra data at byte 4",
		"[1]\x00":                             "extra data",
		"[1,]":                                "a value must follow",
		"[,1]":                                "a value must follow",
		`{"a": 1,}`:                           "a value must follow",
		`{"a" 1}`:                             "a colon is missing",
		`{a: 1}`:                              "a key in double quotes must follow",
		`{1: 1}`:                              "a key in double quotes must follow",
		`{'a': 1}`:                            "a key in double quotes must follow",
		"[1":                                  "ends where a comma or bracket is missing",
		`"a`:                                  "a text is not closed",
		"NaN":                                 "a value must follow",
		"Infinity":                            "a value must follow",
		"-Infinity":                           "this is not a number",
		"nul":                                 "a value must follow",
		"True":                                "a value must follow",
		"01":                                  "this is not a number",
		"-":                                   "this is not a number",
		"+1":                                  "a value must follow",
		".5":                                  "a value must follow",
		"1.":                                  "a digit must follow",
		"1e":                                  "a digit must follow",
		"0x10":                                "extra data",
		"1e400":                               "outside the range of a float",
		"-1e400":                              "outside the range of a float",
		"\"a\nb\"":                            "a control character",
		"\"\x7f\x1f\"":                        "a control character",
		`"\x41"`:                              "an invalid escape sequence",
		`"\u12"`:                              "an invalid escape sequence",
		`"\ud800"`:                            "an invalid escape sequence",
		`"\udc00"`:                            "an invalid escape sequence",
		`"\ud800\u0041"`:                      "an invalid escape sequence",
		`"\ud800\ud800"`:                      "an invalid escape sequence",
		"\"\xff\"":                            "a text is not UTF-8",
		"\"\xed\xa0\x80\"":                    "a text is not UTF-8",
		"\"\xc0\x80\"":                        "a text is not UTF-8",
		"\ufeff1":                             "a value must follow",
		"[1] // x":                            "extra data",
		strings.Repeat("[", 65):               "containers nest deeper than 64",
		strings.Repeat(`{"a":`, 65):           "containers nest deeper than 64",
		strings.Repeat("9", 4301):             "digits",
	} {
		_, err := decode(doc, codec.Limits{})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: %v, want %q", doc, err, want)
			continue
		}
		if c := object.CodeOf(err); c != object.CodeInvalid && c != object.CodeTooLarge {
			t.Errorf("%.60q: code %s", doc, c)
		}
		if object.AsError(err).Executed() != object.NotExecuted {
			t.Errorf("%.60q: executed %s", doc, object.AsError(err).Executed())
		}
	}
	if _, err := decode("[1, 2, 3]", codec.Limits{Elements: 3}); object.CodeOf(err) != object.CodeTooLarge {
		t.Errorf("more elements than the limit: %v", err)
	}
}

func TestDecodeCall(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		kind object.CallKind
		body string
		want []any // nil: an error
	}{
		{object.Invoke, "", []any{[]any{}, nil}},
		{object.Invoke, " ", []any{[]any{}, nil}},
		{object.Invoke, "[1]", []any{[]any{int64(1)}, nil}},
		{object.Invoke, `{"k": 1}`, []any{[]any{}, map[string]any{"k": int64(1)}}},
		{object.Invoke, `{"data": "AA==", "encoding": "base64"}`,
			[]any{[]any{}, map[string]any{"data": "AA==", "encoding": "base64"}}},
		{object.Invoke, "1", nil},
		{object.Invoke, `"x"`, nil},
		{object.Invoke, "null", nil},
		{object.Invoke, "[1] []", nil},
		{object.Get, "", []any{[]any{""}, nil}},
		{object.Get, "1", nil},
		{object.Set, `{"a": 1}`, []any{[]any{"", map[string]any{"a": int64(1)}}, nil}},
		{object.Set, "", nil},
		{object.Set, "1 2", nil},
	} {
		var b codec.Builder
		err := web.Lookup(web.JSON).DecodeCall(tt.kind, []byte(tt.body), codec.Limits{}, &b)
		if tt.want == nil {
			if object.CodeOf(err) != object.CodeInvalid {
				t.Errorf("%v %s: %v, want an error", tt.kind, tt.body, err)
			}
			continue
		}
		if diff := cmp.Diff(tt.want, b.Values(), equal); err != nil || diff != "" {
			t.Errorf("%v %s: %v (-want +got)\n%s", tt.kind, tt.body, err, diff)
		}
	}
}

func TestScanException(t *testing.T) {
	t.Parallel()
	for doc, want := range map[string]*web.Exception{
		`{"__class__": "KeyError", "__exception__": true, "args": ["gone", 2], "attributes": ` +
			`{"_pyroTraceback": ["a", "b"], "x": [1]}}`: {Class: "KeyError", Message: "gone",
			Traceback: []string{"a", "b"}},
		`{"__class__": "shop.Out", "args": [{"sku": 1}], "attributes": {"_pyroTraceback": null}}`: {
			Class: "shop.Out", Message: `{"sku": 1}`},
		`{"__class__": "E", "args": []}`: {Class: "E"},
		`{}`:                             {},
		`[]`:                             nil,
		`{"__class__": 1}`:               nil,
		`{"args": [1], "args": [1]}`:     nil,
		`{"args": [1]} x`:                nil,
	} {
		got, err := web.ScanException([]byte(doc))
		if want == nil {
			if err == nil {
				t.Errorf("%s: %+v, want an error", doc, got)
			}
			continue
		}
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got)\n%s", doc, err, diff)
		}
	}
}
