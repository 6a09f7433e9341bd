package value_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/service/store/value"
)

// encode returns the document of a value.
func encode(t testing.TB, v any) string {
	t.Helper()
	var e value.Encoder
	if err := codec.Write(&e, v); err != nil {
		t.Fatalf("%v: %v", v, err)
	}
	return string(e.Document())
}

// TestValues encodes values. The document is JSON, and decoding returns the same value.
func TestValues(t *testing.T) {
	for want, v := range map[string]any{
		`null`:                          nil,
		`true`:                          true,
		`-5`:                            -5,
		`5.0`:                           5.0,
		`1e+300`:                        1e300,
		`9223372036854775807`:           int64(math.MaxInt64),
		`{"$float": "nan"}`:             math.NaN(),
		`{"$float": "-inf"}`:            math.Inf(-1),
		`"a\"\\\n\u0001é😀\ud83d"`:       "a\"\\\n\x01é😀\xed\xa0\xbd",
		`{"$bytes": "/wA="}`:            []byte{0xFF, 0},
		`[1, [], {}, "x"]`:              []any{1, []any{}, codec.Dict{}, "x"},
		`{"$tuple": [1, {"$set": []}]}`: codec.Tuple{1, codec.Set{}},
		`{"a": 1, "$$bytes": 2, "$int:3": 4, "$float:0.5": 5, "$bool:true": 6, "$null:": 7, ` +
			`"$bytes:YQ==": 8}`: codec.Dict{
			{Key: "a", Value: 1}, {Key: "$bytes", Value: 2}, {Key: 3, Value: 4}, {Key: 0.5, Value: 5},
			{Key: true, Value: 6}, {Key: nil, Value: 7}, {Key: []byte("a"), Value: 8},
		},
		`{"$date": 730519}`:        codec.Date(730519),
		`{"$complex": [1.0, 2.5]}`: complex(1, 2.5),
	} {
		doc := encode(t, v)
		if doc != want || !json.Valid([]byte(doc)) {
			t.Errorf("encoding %v returns %s, want %s", v, doc, want)
		}
		var again value.Encoder
		if err := value.Decode([]byte(doc), &again); err != nil || string(again.Document()) != doc {
			t.Errorf("decoding %s returns %s, %v", doc, again.Document(), err)
		}
	}
}

// TestMalformed decodes malformed documents.
func TestMalformed(t *testing.T) {
	for _, doc := range []string{
		"", " ", "nul", "1 2", "[1,]", "[,1]", "[1 2]", "[", "{", `{"a"}`, `{"a":}`, `{"a":1,}`, `{1:2}`, "01", "-",
		"+1", "1.", ".5", "1e", "--1", `"`, `"\x"`, `"\u12"`, "\"\n\"", "\"\xff\"", "[1}", `{"$bytes": "?"}`,
		`{"$int": "x"}`,
		`{"$int": "01"}`, `{"$x": 1}`, `{"$tuple": 1}`,
		`{"$set": [1], "a": 2}`, `{"$complex": [1]}`,
		`{"$complex": [[1,2]]}`, `{"$date": "x"}`, `{"$bytes:?": 1}`, `{"$x:1": 1}`,
		`{"$int": "1` + strings.Repeat("0", 5000) + `"}`,
		strings.Repeat("[", 65) + strings.Repeat("]", 65),
		strings.Repeat(`{"a":`, 65) + "1" + strings.Repeat("}", 65),
	} {
		if value.Valid([]byte(doc)) {
			t.Errorf("%.40s is accepted", doc)
		}
	}
}

// FuzzDecode decodes documents. A value that is accepted is JSON after encoding, and decodes to itself.
func FuzzDecode(f *testing.F) {
	for _, doc := range []string{
		`{"a": [1, 2.5, null, true, "x\ud83d\ude00"], "$$b": {"$bytes": "YQ=="}, "$int:5": {"$tuple": [{"$set": []}]}}`,
		`{"$complex": [1.0, 2]}`, `{"$datetime": 1.5}`, `{"$date": 5}`, `{"$int": "123456789012345678901234567890"}`,
	} {
		f.Add([]byte(doc))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		var e, again value.Encoder
		if value.Decode(doc, &e) != nil {
			return
		}
		if !json.Valid(e.Document()) {
			t.Fatalf("%q is not JSON", e.Document())
		}
		if err := value.Decode(e.Document(), &again); err != nil || string(again.Document()) != string(e.Document()) {
			t.Fatalf("%q: %v, %q", e.Document(), err, again.Document())
		}
	})
}
