package codec_test

import (
	"math"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/codec/pyro"
	"github.com/hearthhost/hearth/object"
)

// sameNumbers compares floats by their bits, except nan, and big integers by value.
var sameNumbers = cmp.Options{
	cmp.Comparer(func(a, b float64) bool {
		return math.Float64bits(a) == math.Float64bits(b) || a != a && b != b
	}),
	cmp.Comparer(func(a, b *big.Int) bool { return a.Cmp(b) == 0 }),
}

func genInt() *rapid.Generator[any] {
	return rapid.Custom(func(t *rapid.T) any {
		if rapid.Bool().Draw(t, "small") {
			return rapid.Int64().Draw(t, "int")
		}
		v := new(big.Int).SetBytes(rapid.SliceOfN(rapid.Byte(), 9, 40).Draw(t, "big"))
		if v.SetBit(v, 70, 1); rapid.Bool().Draw(t, "negative") {
			v.Neg(v)
		}
		return v
	})
}

// genText generates texts, some with lone surrogates if lone is set.
func genText(lone bool) *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		s := rapid.String().Draw(t, "text")
		if lone && rapid.IntRange(0, 9).Draw(t, "lone") == 0 {
			s += "\xed\xb2\x80x" + s
		}
		return s
	})
}

// genValue generates values that a serializer does not change.
func genValue(id codec.ID, depth int) *rapid.Generator[any] {
	text := genText(id != codec.Msgpack)
	kinds := []*rapid.Generator[any]{
		rapid.Just(any(nil)), rapid.Bool().AsAny(), genInt(), rapid.Float64().AsAny(), text.AsAny(),
		rapid.SliceOf(rapid.Byte()).AsAny(),
	}
	if id != codec.JSON {
		kinds = append(kinds, rapid.Custom(func(t *rapid.T) any {
			re := rapid.Float64().Draw(t, "re")
			return complex(re, rapid.Float64().Draw(t, "im"))
		}))
	}
	if id == codec.Msgpack {
		kinds = append(kinds, rapid.Custom(func(t *rapid.T) any {
			return time.Unix(rapid.Int64Range(-1e9, 4e9).Draw(t, "s"), rapid.Int64Range(0, 999).Draw(t, "ms")*1e6).UTC()
		}), rapid.Custom(func(t *rapid.T) any { return codec.Date(rapid.Int64Range(1, 3652059).Draw(t, "day")) }))
	}
	if depth == 0 {
		return rapid.OneOf(kinds...)
	}
	deeper := rapid.Deferred(func() *rapid.Generator[any] { return genValue(id, depth-1) })
	list := rapid.SliceOfN(deeper, 0, 4)
	kinds = append(kinds, list.AsAny(), rapid.MapOfN(text, deeper, 0, 4).AsAny())
	if id == codec.Serpent {
		kinds = append(kinds, rapid.Custom(func(t *rapid.T) any { return codec.Tuple(list.Draw(t, "tuple")) }),
			rapid.Custom(func(t *rapid.T) any {
				s := codec.Set{}
				for _, v := range rapid.SliceOfNDistinct(rapid.Int64(), 1, 4, rapid.ID).Draw(t, "set") {
					s = append(s, v)
				}
				return s
			}),
			rapid.Custom(func(t *rapid.T) any {
				d := codec.Dict{}
				for _, k := range rapid.SliceOfNDistinct(rapid.Int64(), 1, 3, rapid.ID).Draw(t, "keys") {
					d = append(d, codec.Pair{Key: codec.Tuple{k, "x"}, Value: deeper.Draw(t, "value")})
				}
				return d
			}))
	}
	return rapid.OneOf(kinds...)
}

func TestValuesSurvive(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"serpent", "json", "msgpack"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := codec.ByName(name)
			rapid.Check(t, func(t *rapid.T) {
				v := genValue(s.ID(), 3).Draw(t, "value")
				doc, err := codec.Append(s, nil, v)
				if err != nil {
					t.Fatal(err)
				}
				got, err := codec.Unmarshal(s, doc, codec.Limits{})
				if err != nil {
					t.Fatalf("Unmarshal(%q) = %v", doc, err)
				}
				if diff := cmp.Diff(v, got, sameNumbers); diff != "" {
					t.Fatalf("%q came back different (-want +got):\n%s", doc, diff)
				}
			})
		})
	}
}

func TestAppendKinds(t *testing.T) {
	t.Parallel()
	for want, v := range map[string]any{
		"[1,2,3,4,5,6,7,8,9,10]": []any{
			int(1), int8(2), int16(3), int32(4), int64(5),
			uint(6), uint8(7), uint16(8), uint32(9), uint64(10),
		},
		"18446744073709551615": uint64(math.MaxUint64),
		"-5":                   big.NewInt(-5),
		"None":                 (*big.Int)(nil),
		"0.5":                  float32(0.5),
		"['a','b']":            []string{"a", "b"},
		"{'a':1,'b':2}":        map[string]any{"b": 2, "a": 1},
		"'2001-02-03T04:05:06.500000'": time.Date(2001, 2, 3, 4, 5, 6, 500000000,
			time.FixedZone("", 3600)),
		"'1969-12-31T23:59:59.999999'": time.Unix(0, -1000).UTC(),
		"'2001-02-03'":                 codec.Date(730519),
	} {
		got, err := codec.Append(codec.ByName("serpent"), nil, v)
		if _, body, _ := strings.Cut(string(got), "\n"); err != nil || body != want {
			t.Errorf("Append(%v) = %s, %v, want %s", v, got, err, want)
		}
	}
	_, err := codec.Append(codec.ByName("json"), nil, struct{}{})
	wantError(t, "Append(struct)", err, object.CodeInvalid, "TypeError")
}

func TestAppendCall(t *testing.T) {
	t.Parallel()
	want := map[string]string{
		"serpent": "# serpent utf-8 python3.2\n('o','m',(1,'a'),{'k':2})",
		"json":    `{"object": "o", "method": "m", "params": [1, "a"], "kwargs": {"k": 2}}`,
		"msgpack": "\x94\xa1o\xa1m\x92\x01\xa1a\x81\xa1k\x02",
	}
	for name, doc := range want {
		s := codec.ByName(name)
		got, err := pyro.AppendCall(s, nil, "o", "m", []any{1, "a"}, map[string]any{"k": 2}, false)
		if err != nil || string(got) != doc {
			t.Errorf("%s: AppendCall = %q, %v, want %q", name, got, err, doc)
		}
		for _, nullKw := range []bool{true, false} {
			got, err := pyro.AppendCall(s, nil, "o", "m", nil, nil, nullKw)
			if err != nil {
				t.Fatal(err)
			}
			params, kwargs, err := pyro.UnmarshalCall(s, got, codec.Limits{})
			if err != nil || len(params) != 0 || (kwargs == nil) != nullKw {
				t.Errorf("%s: UnmarshalCall(%q) = %v, %v, %v", name, got, params, kwargs, err)
			}
		}
	}
}

func TestUnmarshalCallKeywords(t *testing.T) {
	t.Parallel()
	for _, kw := range []string{"{1:2}", "{'__class__':'builtins.ValueError','__exception__':True}"} {
		_, _, err := pyro.UnmarshalCall(codec.ByName("serpent"), []byte("('o','m',(),"+kw+")"), codec.Limits{})
		wantError(t, kw, err, object.CodeInvalid, "TypeError")
	}
}

func TestBuilderDuplicates(t *testing.T) {
	t.Parallel()
	s := codec.ByName("serpent")
	for doc, want := range map[string]any{
		"{'a':1,'a':2}":            map[string]any{"a": int64(2)},
		"{1:'a',True:'b',1.0:'c'}": codec.Dict{{Key: int64(1), Value: "c"}},
		"{(1,'x'):1,(1.0,'x'):2}":  codec.Dict{{Key: codec.Tuple{int64(1), "x"}, Value: int64(2)}},
		"{1,1.0,(1+0j),True,2}":    codec.Set{int64(1), int64(2)},
		"{'1',1,None,b'1',1.5}":    codec.Set{"1", int64(1), nil, []byte("1"), 1.5},
		"{1e300,1e300}":            codec.Set{1e300},
		"{0.0,-0.0,0,False}":       codec.Set{0.0},
		"{'a':1,2:3}":              codec.Dict{{Key: "a", Value: int64(1)}, {Key: int64(2), Value: int64(3)}},
		"{}":                       map[string]any{},
		"{'ab':(),'c':[None]}":     map[string]any{"ab": codec.Tuple{}, "c": []any{nil}},
	} {
		got, err := codec.Unmarshal(s, []byte(doc), codec.Limits{})
		if diff := cmp.Diff(want, got, sameNumbers); err != nil || diff != "" {
			t.Errorf("Unmarshal(%s): %v\n%s", doc, err, diff)
		}
	}
}

func TestBuilderMisuse(t *testing.T) {
	t.Parallel()
	var b codec.Builder
	if b.Value() != nil {
		t.Error("Value of an empty Builder is not nil")
	}
	if object.CodeOf(b.End()) != object.CodeInternal || object.CodeOf(b.BigInt([]byte("x"))) != object.CodeInternal ||
		object.CodeOf(b.DateTime(nan())) != object.CodeInvalid {
		t.Error("misuse is not refused")
	}
}
