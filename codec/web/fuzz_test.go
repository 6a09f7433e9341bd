package web_test

import (
	"encoding/json"
	"errors"
	"math/big"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/codec/web"
	"github.com/hearthhost/hearth/object"
)

// reference returns the value that package json reads in a document, in the types of codec. It reads bytes as a dict.
func reference(doc []byte) (any, error) {
	d := json.NewDecoder(strings.NewReader(string(doc)))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	return convert(v)
}

var errNumber = errors.New("a number beyond the range of a float")

func convert(v any) (_ any, err error) {
	switch v := v.(type) {
	case json.Number:
		if n, err := strconv.ParseInt(string(v), 10, 64); err == nil {
			return n, nil
		}
		if !strings.ContainsAny(string(v), ".eE") {
			n, _ := new(big.Int).SetString(string(v), 10)
			return n, nil
		}
		f, err := v.Float64()
		if err != nil {
			return nil, errNumber
		}
		return f, nil
	case []any:
		for i := range v {
			if v[i], err = convert(v[i]); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		for k := range v {
			if v[k], err = convert(v[k]); err != nil {
				return nil, err
			}
		}
	}
	return v, nil
}

// hasBytes reports whether a value contains bytes, which package json reads as a dict.
func hasBytes(v any) bool {
	switch v := v.(type) {
	case []byte:
		return true
	case []any:
		for _, e := range v {
			if hasBytes(e) {
				return true
			}
		}
	case map[string]any:
		for _, e := range v {
			if hasBytes(e) {
				return true
			}
		}
	}
	return false
}

// FuzzDecode compares accepted documents with package json, which accepts more, and writes the value again.
func FuzzDecode(f *testing.F) {
	for _, doc := range []string{
		`[1, -0, 1.5e3, true, null, "é\u00e9\ud83d\ude00", {"a": {}}]`, `{"a": 1, "\u0061": 2}`,
		`{"data": "/wA=", "encoding": "base64"}`, `{"data": "/wA", "encoding": "base64", "x": 1}`,
		`123456789012345678901234567890`, `"\ud800"`, "[[[[[[[[]]]]]]]]", `[1e400]`, "\"\xed\xa0\x80\"",
	} {
		f.Add([]byte(doc))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		var b codec.Builder
		if err := web.Decode(doc, codec.Limits{}, &b); err != nil {
			if c := object.CodeOf(err); c != object.CodeInvalid && c != object.CodeTooLarge {
				t.Fatalf("%q: %v", doc, err)
			}
			return
		}
		got := b.Value()
		if !json.Valid(doc) {
			t.Fatalf("%q is accepted and is no JSON", doc)
		}
		if want, err := reference(doc); err != nil || !hasBytes(got) && !cmp.Equal(want, got, equal) {
			t.Fatalf("%q: %#v, package json reads %#v, %v", doc, got, want, err)
		}
		e := web.Lookup(web.JSON).NewEncoder(nil)
		if err := codec.Write(e, got); err != nil {
			t.Fatalf("%q: writing %#v: %v", doc, got, err)
		}
		out, err := e.Document()
		if err != nil || !json.Valid(out) {
			t.Fatalf("%q is written as %q, %v", doc, out, err)
		}
		again, err := decode(string(out), codec.Limits{Depth: 1000})
		if err != nil || !hasBytes(got) && !cmp.Equal(got, again, equal) {
			t.Fatalf("%q: %#v is read as %#v, %v", doc, got, again, err)
		}
	})
}

// FuzzCall reads documents as the payloads of calls and as exceptions.
func FuzzCall(f *testing.F) {
	for _, doc := range []string{`[1]`, `{"k": [1]}`, "", "1", `{"__class__": "E", "args": ["x", 1], "attributes": ` +
		`{"_pyroTraceback": ["a"]}}`} {
		f.Add([]byte(doc))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		for _, kind := range []object.CallKind{object.Invoke, object.Get, object.Set} {
			var b codec.Builder
			err := web.Lookup(web.JSON).DecodeCall(kind, doc, codec.Limits{}, &b)
			if err == nil && len(b.Values()) != 2 {
				t.Fatalf("%v %q: values %#v", kind, doc, b.Values())
			}
		}
		if _, err := web.ScanException(doc); err == nil && !json.Valid(doc) {
			t.Fatalf("%q is read as an exception and is no JSON", doc)
		}
	})
}
