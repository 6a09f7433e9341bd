package dump_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/service/store"
	"github.com/hearthhost/hearth/service/store/dump"
)

// TestRoundTrip writes keys and reads them back.
func TestRoundTrip(t *testing.T) {
	type line struct {
		id object.ID
		store.Item
	}
	lines := []line{
		{"acme.a", store.Item{Key: "k", Value: []byte("3"), Version: 1}},
		{"acme.a", store.Item{Key: "<é\u2028\"\\\n", Value: []byte(`{"$bytes": "AP8="}`), Version: 1 << 52}},
		{"acme.a:key~1", store.Item{Key: "$x", Value: []byte(`[1.0, "\ud800 <", null]`), Expires: 1796060000123}},
		{"acme.b.c", store.Item{Key: "long", Value: []byte(`"` + strings.Repeat("x", 300<<10) + `"`)}},
	}
	var text []byte
	for _, l := range lines {
		text = dump.Append(text, l.id, &l.Item)
	}
	if n := bytes.Count(text, []byte("\n")); n != len(lines) {
		t.Errorf("%d lines, want %d", n, len(lines))
	}
	r := dump.NewReader(bytes.NewReader(text), "acme")
	for _, l := range lines {
		id, it, err := r.Next()
		if err != nil || id != l.id || fmt.Sprint(*it) != fmt.Sprint(l.Item) {
			t.Errorf("%s %.80v, %v; want %s %.80v", id, it, err, l.id, l.Item)
		}
	}
	if _, _, err := r.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v", err)
	}
	// Another program may have stored white space.
	line1 := dump.Append(nil, "acme.a", &store.Item{Key: "k", Value: []byte("{\"a\":\r\n 1}")})
	if want := `{"object":"acme.a","key":"k","value":{"a":   1},"version":0}` + "\n"; string(line1) != want {
		t.Errorf("%s, want %s", line1, want)
	}
}

// TestBadLines reads malformed lines. Each error has the number of its line and the reason.
func TestBadLines(t *testing.T) {
	longKey, longText := strings.Repeat("k", 513), strings.Repeat("x", dump.MaxLine)
	const before1970 = `{"object":"acme.a","key":"k","value":1,"expires":"1960-01-01T00:00:00Z"}`
	const good = `{"object":"acme.a","key":"k","value":1}` + "\n"
	for text, want := range map[string]string{
		"\n":                                 "not a JSON object",
		"[]\n":                               "not a JSON object",
		"nonsense\n":                         "not a JSON object",
		strings.TrimSuffix(good, "\n"):       "cut off",
		"{}\n":                               `"object" is missing`,
		`{"object":"acme.a"}` + "\n":         `"key" is missing`,
		`{"object":"acme.a","key":1}` + "\n": `"key" is not a text`,
		`{"object":"acme.a","key":{"$bytes":"AA=="}}` + "\n":               `"key" is not a text`,
		`{"object":"acme.a","key":["k"]}` + "\n":                           `"key" is not a text`,
		`{"object":"acme.a","key":"k"}` + "\n":                             `"value" is missing`,
		`{"object":"acme.a","key":"","value":1}` + "\n":                    "key is empty",
		`{"object":"acme.a","key":"a\u0000","value":1}` + "\n":             "U+0000",
		`{"object":"acme.a","key":"\ud800","value":1}` + "\n":              "not UTF-8",
		`{"object":"acme.a","key":"` + longKey + `","value":1}` + "\n":     "513 bytes",
		`{"object":"zoo.a","key":"k","value":1}` + "\n":                    "not an object of tenant acme",
		`{"object":"acme","key":"k","value":1}` + "\n":                     "the form is <tenant>.<name>",
		`{"object":"acme.a:../x","key":"k","value":1}` + "\n":              "is not a key",
		`{"object":"acme.a","key":"k","value":{"$x":1}}` + "\n":            "unknown tag",
		`{"object":"acme.a","key":"k","value":01}` + "\n":                  "malformed JSON",
		`{"object":"acme.a","key":"k","value":1,"value":2}` + "\n":         "occurs twice",
		`{"object":"acme.a","Key":"k","value":1}` + "\n":                   `unknown field "Key"`,
		`{"object":"acme.a","key":"k","value":1} {}` + "\n":                "more data",
		`{"object":"acme.a","key":"k","value":1` + "\n":                    "no end",
		`{"object":"acme.a","key":"k","value":1,"version":-1}` + "\n":      "version",
		`{"object":"acme.a","key":"k","value":1,"version":9e9}` + "\n":     "version",
		`{"object":"acme.a","key":"k","value":1,"expires":5}` + "\n":       `"expires" is not a text`,
		`{"object":"acme.a","key":"k","value":1,"expires":"never"}` + "\n": "not a time",
		before1970 + "\n": "not a time",
		`{"object":"acme.a","key":"k","value":"` + longText + "\"}\n": "longer than",
	} {
		r := dump.NewReader(strings.NewReader(good+good+text), "acme")
		var err error
		for err == nil {
			_, _, err = r.Next()
		}
		var at *dump.LineError
		if !errors.As(err, &at) || at.Line != 3 || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80s: %v, want an error of line 3 with %q", text, err, want)
		}
		if object.CodeOf(err) != object.CodeInvalid && object.CodeOf(err) != object.CodeTooLarge {
			t.Errorf("%.80s: code %v", text, object.CodeOf(err))
		}
	}
}

// FuzzReader reads texts. A line that is accepted is written and read again without a change.
func FuzzReader(f *testing.F) {
	f.Add([]byte(`{"object":"acme.a","key":"k","value":{"$bytes": "AP8="},"version":3}` + "\n"))
	f.Add([]byte(`{"object":"acme.a","key":"k","value":"a","expires":"2027-01-31T18:00:00Z"}` + "\n"))
	f.Add([]byte(`{"value":[1.5],"key":"\u0041","object":"acme.a:b"}` + "\n\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		r := dump.NewReader(bytes.NewReader(text), "acme")
		for {
			id, it, err := r.Next()
			if err != nil {
				return
			}
			line := dump.Append(nil, id, it)
			before := fmt.Sprintf("%s %v", id, *it)
			again, it2, err := dump.NewReader(bytes.NewReader(line), "acme").Next()
			if err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			it2.Value = bytes.ReplaceAll(it2.Value, []byte("\r"), []byte(" "))
			if after := fmt.Sprintf("%s %v", again, *it2); after != before && !bytes.ContainsAny(it.Value, "\r\n") {
				t.Fatalf("%q: %s, want %s", line, after, before)
			}
		}
	})
}
