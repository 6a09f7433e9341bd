package codec_test

import (
	"strings"
	"testing"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/object"
)

func TestMarshalEdges(t *testing.T) {
	t.Parallel()
	s := codec.ByID(codec.MarshalData)
	for _, c := range []struct{ name, hex, want, class string }{
		{"flag on None takes no number", "2903cedb000000007200000000", "(None, [], [])", ""},
		{"flag on a reference takes no number", "2903db00000000f2000000007200000000", "([], [], [])", ""},
		{"tuple as key", "7b29014e4e30", "{(None,): None}", ""},
		{"list in a tuple as key", "7b29015b000000004e30", "", "TypeError"},
		{"referenced list as key", "2902db000000007b72000000004e30", "", "TypeError"},
		{"set in a set", "3c010000003c00000000", "", "TypeError"},
		{"dict in a set", "3c010000007b30", "", "TypeError"},
		{"frozenset in a set", "3c010000003e00000000", "{set()}", ""},
		{"float text inf", "6603696e66", "inf", ""},
		{"float text nan", "66036e616e", "nan", ""},
		{"float text beyond doubles", "66053165393939", "inf", ""},
		{"float text in hexadecimal", "66053078317030", "", "ValueError"},
		{"float text of signs", "66022b2d", "", "ValueError"},
		{"float text empty", "6600", "", "ValueError"},
		{"half a surrogate", "7502000000eda0", "", "ValueError"},
		{"text between surrogates", "7508000000" + "eda080" + "6162" + "edbfbf", `'\ud800ab\udfff'`, ""},
		{"text that says ASCII", "610100000080", "", "ValueError"},
		{"NULL as a value", "7b4e30", "", "TypeError"},
		{"flagged end of a dict", "7bb0", "{}", ""},
		{"least int64", "49" + "0000000000000080", "-9223372036854775808", ""},
		{"long of five digits that is an int", "6c05000000" + "ff7fff7fff7fff7f0700", "9223372036854775807", ""},
		{"self-reference through a dict", "fb4e7200000000" + "30", "", "ValueError"},
	} {
		got, err := reprOf(s, unhex(t, c.hex), codec.Limits{})
		if c.class != "" {
			wantError(t, c.name, err, object.CodeInvalid, c.class)
		} else if err != nil || got != c.want {
			t.Errorf("%s: Decode = %s, %v, want %s", c.name, got, err, c.want)
		}
	}
}

func TestMarshalLimits(t *testing.T) {
	t.Parallel()
	s := codec.ByID(codec.MarshalData)
	tuples := strings.Repeat("2901", 64)
	dicts := strings.Repeat("7b4e", 65)
	for _, c := range []struct {
		name, hex string
		lim       codec.Limits
		ok        bool
	}{
		{"64 tuples", tuples + "4e", codec.Limits{}, true},
		{"65 tuples", tuples + "29014e", codec.Limits{}, false},
		{"65 dicts", dicts + "4e" + strings.Repeat("30", 65), codec.Limits{}, false},
		{"5 values of 4", "5b02000000" + "7b4e4e30" + "29014e", codec.Limits{Elements: 4}, false},
		{"5 values of 5", "5b02000000" + "7b4e4e30" + "29014e", codec.Limits{Elements: 5}, true},
		// 2^30 is 1073741824: ten digits in three of marshal's.
		{"10 digits of 10", "6c03000000" + "0000" + "0000" + "0100", codec.Limits{Digits: 10}, true},
		{"20 digits of 20", "6c05000000" + "0000" + "0000" + "0000" + "0000" + "1000", codec.Limits{Digits: 20}, true},
		{"20 digits of 19", "6c05000000" + "0000" + "0000" + "0000" + "0000" + "1000", codec.Limits{Digits: 19}, false},
		{"far too many digits", "6cff7f0000" + strings.Repeat("0100", 0x7fff), codec.Limits{}, false},
	} {
		err := s.Decode(unhex(t, c.hex), c.lim, pyNone{})
		if c.ok && err != nil {
			t.Errorf("%s: Decode = %v", c.name, err)
		}
		if !c.ok {
			wantError(t, c.name, err, object.CodeTooLarge, "")
		}
	}
}

// Whatever is cut short is refused, by every function that reads it.
func TestBinaryTruncated(t *testing.T) {
	t.Parallel()
	for name, class := range map[string]string{"msgpack": "ValueError", "marshal": "EOFError"} {
		s := codec.ByName(name)
		for _, v := range jsonLines[valueVector](t, "testdata/values-"+name+".jsonl") {
			if v.Hex == nil || strings.Contains(*v.Loads, "list is not allowed") {
				continue
			}
			doc := unhex(t, *v.Hex)
			for n := range doc {
				wantError(t, name+" "+v.Repr, s.Decode(doc[:n], codec.Limits{}, pyNone{}), object.CodeInvalid, class)
			}
		}
		for _, call := range []string{"call_kwargs.req", "attr_get.req", "batch.req"} {
			doc := recordedCall(t, "pyro5-"+name+".jsonl", call)
			var h codec.Head
			for n := range doc {
				if err := s.DecodeCall(doc[:n], codec.Limits{}, pyNone{}); err == nil {
					t.Errorf("%s: DecodeCall of %d bytes of %s was accepted", name, n, call)
				}
				// The scan need not look behind the first argument.
				if err := s.ScanCall(doc[:n], call == "batch.req", &h); err == nil && n < len(doc)/2 {
					t.Errorf("%s: ScanCall of %d bytes of %s was accepted", name, n, call)
				}
			}
		}
		doc := recordedCall(t, "pyro5-"+name+".jsonl", "handshake.req")
		for n := range doc {
			if id, err := s.ScanConnect(doc[:n]); err == nil {
				t.Errorf("%s: ScanConnect of %d bytes = %q", name, n, id)
			}
		}
	}
}

func TestBinaryNumbers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		id     codec.ID
		name   string
		p4, p5 uint16
	}{{codec.Msgpack, "msgpack", 6, 4}, {codec.MarshalData, "marshal", 3, 2}} {
		s := codec.ByID(c.id)
		if s.ID() != c.id || s.Name() != c.name || s.WireID(object.Pyro4) != c.p4 || s.WireID(object.Pyro5) != c.p5 {
			t.Errorf("%s: id %d, name %s, wire ids %d and %d", c.name, s.ID(), s.Name(), s.WireID(object.Pyro4), s.WireID(object.Pyro5))
		}
		if codec.ByWire(object.Pyro4, c.p4) != s || codec.ByWire(object.Pyro5, c.p5) != s {
			t.Errorf("%s: ByWire does not find what WireID says", c.name)
		}
	}
}
