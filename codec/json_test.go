package codec_test

import (
	"bytes"
	"math"
	"strings"
	"testing"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/object"
)

func nan() float64 { return math.NaN() }

func negativeZero() float64 { return math.Copysign(0, -1) }

func TestJSONValues(t *testing.T) {
	t.Parallel()
	s := codec.ByName("json")
	for _, v := range jsonLines[valueVector](t, "testdata/values-json.jsonl") {
		if v.Hex == nil || v.Loads == nil {
			continue // Python does not write it
		}
		doc := unhex(t, *v.Hex)
		got, err := reprOf(s, doc, codec.Limits{})
		if err != nil {
			t.Errorf("Decode(%s) = %v", doc, err)
			continue
		}
		if want := *v.Loads; v.plain() && v.cut(got) != want {
			t.Errorf("Decode(%s) = %s, want %s", doc, got, want)
		}
		if again, err := translate(s, doc, s); err != nil || !bytes.Equal(again, doc) {
			t.Errorf("encoding %s again = %s, %v", doc, again, err)
		}
	}
}

func TestJSONAccepts(t *testing.T) {
	t.Parallel()
	s := codec.ByName("json")
	for doc, want := range map[string]string{
		" [ 1 ,2 ] \n":                             "[1, 2]",
		`{"a":1,"a":2}`:                            "{'a': 1, 'a': 2}",
		`{"data":"YWJj","encoding":"base64"}`:      "b'abc'",
		`{"encoding": "base64", "data": "YWJj"}`:   "b'abc'",
		`{"data": "YW", "encoding": "base64"}`:     "{'data': 'YW', 'encoding': 'base64'}",
		`{"data":"","encoding":"base64","x":null}`: "{'data': '', 'encoding': 'base64', 'x': None}",
		`"\ud83d\ude00 \ud83d \/\b\f\n\r\t\"\\"`:   `'😀 \ud83d /\x08\x0c\n\r\t"\\'`,
		`[NaN,Infinity,-Infinity,1e400,-0,-0.0]`:   "[nan, inf, -inf, inf, 0, -0.0]",
		`123456789012345678901234567890`:           "123456789012345678901234567890",
		`1E5`:                                      "100000.0",
		`{"":{}}`:                                  "{'': {}}",
	} {
		if got, err := reprOf(s, []byte(doc), codec.Limits{}); err != nil || got != want {
			t.Errorf("Decode(%s) = %s, %v, want %s", doc, got, err, want)
		}
	}
}

func TestJSONRefuses(t *testing.T) {
	t.Parallel()
	s := codec.ByName("json")
	for _, doc := range []string{"", " ", "\ufeff1", "nul", "nullx", "1 2", "[1,]", "[,1]", "[1 2]",
		"{1:2}", `{"a"}`, `{"a":}`,
		`{"a":1,}`, "{'a':1}", "01", "-", "+1", "1.", ".5", "1e", "0x1", "--1", "-NaN",
		`"`, `"\x41"`, `"\u12"`, "\"\n\"", "\"\x00\"",
		"\"\xff\"", "\"\xed\xa0\x80\"", "[", "{", `"\`, "[1}", "\xe2\x80\xa8", "// x\n1", "1_0"} {
		_, err := reprOf(s, []byte(doc), codec.Limits{})
		wantError(t, doc, err, object.CodeInvalid, "ValueError")
	}
	for doc, lim := range map[string]codec.Limits{
		strings.Repeat("[", 65) + strings.Repeat("]", 65): {},
		strings.Repeat(`{"a":`, 100000):                   {},
		"[1,2,3]":                                         {Elements: 2},
		`{"a":1,"b":2}`:                                   {Elements: 3},
		strings.Repeat("9", 4301):                         {},
	} {
		_, err := reprOf(s, []byte(doc), lim)
		wantError(t, doc[:5], err, object.CodeTooLarge, "")
	}
}

func TestJSONEncodes(t *testing.T) {
	t.Parallel()
	s := codec.ByName("json")
	for want, v := range map[string]any{
		`{"data": "YWJj", "encoding": "base64"}`: []byte("abc"),
		`{"1": 1, "1.5": 2, "null": 3, "true": 4, "NaN": 5}`: codec.Dict{{Key: 1, Value: 1}, {Key: 1.5, Value: 2},
			{Key: nil, Value: 3}, {Key: true, Value: 4}, {Key: nan(), Value: 5}},
		`[[1], [2], [NaN, Infinity, -Infinity, 1e+16]]`: codec.Tuple{codec.Set{1}, []any{2},
			[]any{nan(), math.Inf(1), math.Inf(-1), 1e16}},
		`"\ud83d\u0000é😀/` + "\u2028\x7f" + `\"\\"`: "\xed\xa0\xbd\x00é😀/\u2028\x7f\"\\",
		`"2001-02-03"`: codec.Date(730519),
	} {
		if got, err := codec.Append(s, nil, v); err != nil || string(got) != want {
			t.Errorf("Append(%v) = %s, %v, want %s", v, got, err, want)
		}
	}
	for _, v := range []any{complex(1, 2), codec.Dict{{Key: codec.Tuple{1}}}, codec.Dict{{Key: []byte("k")}}, "\xff"} {
		_, err := codec.Append(s, nil, v)
		wantError(t, "Append", err, object.CodeInvalid, "TypeError")
	}
}
