package codec_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/codec/pyro"
	"github.com/hearthhost/hearth/object"
)

func TestMsgpackAccepts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, hex, want string }{
		{"long form of a small int", "d300000000000000ff", "255"},
		{"float32", "ca3fc00000", "1.5"},
		{"str8 of a short text", "d90161", "'a'"},
		{"str32", "db0000000161", "'a'"},
		{"array32", "dd0000000101", "[1]"},
		{"map32", "df00000001a16101", "{'a': 1}"},
		{"int keys", "8201020304", "{1: 2, 3: 4}"},
		{"nil key", "81c0c3", "{None: True}"},
		{"date of Windows", "d63397250b00", "datetime.date(2001, 2, 3)"},
		{"bigint in ext32", "c900000014313138343436373434303733373039353531363136", "18446744073709551616"},
		{"bigint without digits", "d43135", "5"},
		{"least int64 as text", "c714312d39323233333732303336383534373735383038", "-9223372036854775808"},
	} {
		doc := unhex(t, c.hex)
		if got, err := reprOf(codec.ByID(codec.Msgpack), doc, codec.Limits{}); err != nil || got != c.want {
			t.Errorf("%s: Decode = %s, %v, want %s", c.name, got, err, c.want)
		}
	}
}

func TestMsgpackRefuses(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("91", 64)
	for _, c := range []struct {
		name, hex, text, class string
		code                   object.Code
	}{
		{"empty", "", "incomplete", "ValueError", object.CodeInvalid},
		{"never used", "c1", "begins no msgpack value", "ValueError", object.CodeInvalid},
		{"trailing data", "c0c0", "extra data", "ValueError", object.CodeInvalid},
		{"short int", "ce0000", "incomplete", "ValueError", object.CodeInvalid},
		{"short text", "a361", "incomplete", "ValueError", object.CodeInvalid},
		{"huge text", "dbffffffff61", "incomplete", "ValueError", object.CodeInvalid},
		{"huge bytes", "c6ffffffff61", "incomplete", "ValueError", object.CodeInvalid},
		{"huge array", "ddffffffff01", "incomplete", "ValueError", object.CodeInvalid},
		{"huge map", "dfffffffff0101", "incomplete", "ValueError", object.CodeInvalid},
		{"huge ext", "c9ffffffff3100", "incomplete", "ValueError", object.CodeInvalid},
		{"not UTF-8", "a1ff", "UTF-8", "ValueError", object.CodeInvalid},
		{"encoded surrogate", "a3eda080", "UTF-8", "ValueError", object.CodeInvalid},
		{"list as key", "819001", "unhashable type: 'list'", "TypeError", object.CodeInvalid},
		{"map as key", "818001", "unhashable type: 'dict'", "TypeError", object.CodeInvalid},
		{"unknown ext", "d40500", "invalid ext code for msgpack: 5", "ValueError", object.CodeInvalid},
		{"timestamp", "d6ff00000000", "invalid ext code for msgpack: -1", "ValueError", object.CodeInvalid},
		{"complex of 8 bytes", "d7300000000000000000", "cannot have 8 bytes", "ValueError", object.CodeInvalid},
		{"date of 2 bytes", "d5330100", "cannot have 2 bytes", "ValueError", object.CodeInvalid},
		{"day 0", "d63300000000", "years 1 to 9999", "ValueError", object.CodeInvalid},
		{"datetime nan", "d732000000000000f87f", "years 1 to 9999", "ValueError", object.CodeInvalid},
		{"bigint empty", "c70031", "decimal", "ValueError", object.CodeInvalid},
		{"bigint with a sign only", "d4312d", "decimal", "ValueError", object.CodeInvalid},
		{"bigint with a zero before", "d5313031", "decimal", "ValueError", object.CodeInvalid},
		{"bigint -0", "d5312d30", "decimal", "ValueError", object.CodeInvalid},
		{"bigint 1_0", "c70331315f30", "decimal", "ValueError", object.CodeInvalid},
		{"bigint of 4301 digits", "c810cd31" + strings.Repeat("31", 4301), "4300 digits", "", object.CodeTooLarge},
		{"65 levels", deep + "9100", "deeper than 64", "", object.CodeTooLarge},
		{"65 levels of maps", deep + "8100c0", "deeper than 64", "", object.CodeTooLarge},
	} {
		var n countSink
		err := codec.ByID(codec.Msgpack).Decode(unhex(t, c.hex), codec.Limits{}, &n)
		wantError(t, c.name, err, c.code, c.class)
		if err != nil && !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: error %q, want %q in it", c.name, err, c.text)
		}
	}
	if got, err := reprOf(codec.ByID(codec.Msgpack), unhex(t, deep+"01"), codec.Limits{}); err != nil {
		t.Errorf("64 levels: Decode = %s, %v", got, err)
	}
	five := unhex(t, "9301910203") // [1, [2], 3]: four values in containers
	if _, err := reprOf(codec.ByID(codec.Msgpack), five, codec.Limits{Elements: 4}); err != nil {
		t.Errorf("4 elements of 4: %v", err)
	}
	_, err := reprOf(codec.ByID(codec.Msgpack), five, codec.Limits{Elements: 3})
	wantError(t, "4 elements of 3", err, object.CodeTooLarge, "")
}

// TestBinaryCallErrors: payloads that are not calls.
func TestBinaryCallErrors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, serializer, hex string
		batch                 bool
		class, text           string
	}{
		{"three", "msgpack", "93a16fa16d90", false, "ValueError", "not enough values to unpack (expected 4, got 3)"},
		{"five", "msgpack", "95a16fa16d9080c0", false, "ValueError", "too many values to unpack (expected 4)"},
		{"no array", "msgpack", "80", false, "TypeError", "call is not an array"},
		{"empty", "msgpack", "", false, "ValueError", "incomplete"},
		{"object is a number", "msgpack", "9401a16d9080", false, "TypeError", "object id is not a text"},
		{"method is nil", "msgpack", "94a16fc09080", false, "TypeError", "method is not a text"},
		{"object not UTF-8", "msgpack", "94a1ffa16d9080", false, "ValueError", "UTF-8"},
		{"batch of a number", "msgpack", "94a16fa16d05c0", true, "TypeError", "batch is not an array"},
		{
			"batch of pairs", "msgpack", "94a16fa16d9192a17890c0", true,
			"ValueError", "not enough values to unpack (expected 3, got 2)",
		},
		{"batch of texts", "msgpack", "94a16fa16d91a178c0", true, "TypeError", "call in batch is not an array"},
		{"batch of numbers", "msgpack", "94a16fa16d9193019080c0", true, "TypeError", "method in batch is not a text"},
	} {
		var h pyro.Head
		err := pyro.ScanCall(codec.ByName(c.serializer), unhex(t, c.hex), c.batch, &h)
		wantError(t, c.serializer+" "+c.name, err, object.CodeInvalid, c.class)
		if err != nil && !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s %s: error %q, want %q in it", c.serializer, c.name, err, c.text)
		}
	}
	for _, c := range []struct{ serializer, hex, text string }{
		{"msgpack", "94a16fa16d0580", "positional arguments"},
		{"msgpack", "94a16fa16d9090", "keyword arguments"},
	} {
		err := pyro.DecodeCall(codec.ByName(c.serializer), unhex(t, c.hex), codec.Limits{}, pyNone{})
		wantError(t, c.hex, err, object.CodeInvalid, "TypeError")
		if err != nil && !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s %s: error %q, want %q in it", c.serializer, c.hex, err, c.text)
		}
	}
}

func TestBinaryScanConnect(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ serializer, hex, want, class, text string }{
		{"msgpack", "82a66f626a656374a16fa968616e647368616b65c0", "o", "", ""},
		{"msgpack", "83a66f626a656374a16fa16190a968616e647368616b6580", "o", "", ""},
		{"msgpack", "81a968616e647368616b65c0", "", "", ""},
		{"msgpack", "81a66f626a656374a16f", "", "KeyError", "'handshake'"},
		{"msgpack", "82a66f626a65637405a968616e647368616b65c0", "", "TypeError", "object id is not a text"},
		{"msgpack", "90", "", "TypeError", "handshake is not a map"},
		{"msgpack", "", "", "ValueError", "incomplete"},
		{"msgpack", "81a968616e647368616b65c0c0", "", "ValueError", "extra data"},
	} {
		got, _, err := pyro.ScanConnect(codec.ByName(c.serializer), unhex(t, c.hex))
		if c.class != "" {
			wantError(t, c.serializer+" "+c.hex, err, object.CodeInvalid, c.class)
		}
		if got != c.want || (err != nil) != (c.class != "") || err != nil && !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: ScanConnect(%s) = %q, %v, want %q, %q", c.serializer, c.hex, got, err, c.want, c.text)
		}
	}
}

// TestBinaryEncodeUnknownCount: containers of unknown and of announced size are written alike.
func TestBinaryEncodeUnknownCount(t *testing.T) {
	t.Parallel()
	const name = "msgpack"
	for _, k := range []object.Kind{object.ListKind, object.TupleKind, object.SetKind, object.DictKind} {
		for _, n := range []int{0, 1, 15, 16, 255, 256, 65535, 65536} {
			write := func(announced bool) []byte {
				e := codec.ByName(name).NewEncoder([]byte("before"))
				outer, inner := -1, -1
				if announced {
					outer, inner = 1, n
				}
				_ = e.Begin(object.ListKind, outer)
				_ = e.Begin(k, inner)
				for range n {
					_ = e.Text([]byte("k"))
					if k == object.DictKind {
						_ = e.Null()
					}
				}
				_ = e.End()
				_ = e.End()
				doc, err := e.Document()
				if err != nil {
					t.Fatalf("%s: %s of %d: %v", name, k, n, err)
				}
				return doc
			}
			want, got := write(true), write(false)
			if !bytes.Equal(want, got) {
				t.Errorf("%s: %s of %d, size not announced: begins %x, want %x",
					name, k, n, got[:min(20, len(got))], want[:min(20, len(want))])
			}
		}
	}
}

func TestBinaryEncoderRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		code  object.Code
		class string
		write func(e codec.Encoder)
	}{
		{"nothing", object.CodeInternal, "", func(codec.Encoder) {}},
		{"two values", object.CodeInternal, "", func(e codec.Encoder) { _ = e.Null(); _ = e.Null() }},
		{"open container", object.CodeInternal, "", func(e codec.Encoder) { _ = e.Begin(object.ListKind, 0) }},
		{"end of nothing", object.CodeInternal, "", func(e codec.Encoder) { _ = e.Null(); _ = e.End() }},
		{"fewer than announced", object.CodeInternal, "", func(e codec.Encoder) {
			_ = e.Begin(object.ListKind, 2)
			_ = e.Null()
			_ = e.End()
		}},
		{"more than announced", object.CodeInternal, "", func(e codec.Encoder) {
			_ = e.Begin(object.DictKind, 0)
			_ = e.Text(nil)
			_ = e.Null()
			_ = e.End()
		}},
		{"key without value", object.CodeInternal, "", func(e codec.Encoder) {
			_ = e.Begin(object.DictKind, -1)
			_ = e.Text(nil)
			_ = e.End()
		}},
		{"int key", object.CodeInvalid, "TypeError", func(e codec.Encoder) {
			_ = e.Begin(object.DictKind, 1)
			_ = e.Int(1)
		}},
		{"list key", object.CodeInvalid, "TypeError", func(e codec.Encoder) {
			_ = e.Begin(object.DictKind, 1)
			_ = e.Begin(object.ListKind, 0)
		}},
		{"lone surrogate", object.CodeInvalid, "TypeError", func(e codec.Encoder) {
			_ = e.Text([]byte("\xed\xa0\x80"))
		}},
		{"no text", object.CodeInvalid, "TypeError", func(e codec.Encoder) { _ = e.Text([]byte("\xff")) }},
		{"year 10000", object.CodeInvalid, "TypeError", func(e codec.Encoder) { _ = e.DateTime(253402300800) }},
		{"day 0", object.CodeInvalid, "TypeError", func(e codec.Encoder) { _ = e.Date(0) }},
		{"4301 digits", object.CodeTooLarge, "", func(e codec.Encoder) {
			_ = e.BigInt(bytes.Repeat([]byte("1"), 4301))
		}},
		{"no digits", object.CodeInternal, "", func(e codec.Encoder) { _ = e.BigInt([]byte("1e9")) }},
		{"too deep", object.CodeTooLarge, "", func(e codec.Encoder) {
			for range 300 {
				_ = e.Begin(object.ListKind, -1)
			}
		}},
	} {
		const name = "msgpack"
		e := codec.ByName(name).NewEncoder(nil)
		c.write(e)
		_, err := e.Document()
		wantError(t, name+": "+c.name, err, c.code, c.class)
		e.Reset([]byte("x"))
		_ = e.Bool(true)
		if doc, err := e.Document(); err != nil || len(doc) != 2 || doc[0] != 'x' {
			t.Errorf("%s: %s: after Reset: %x, %v", name, c.name, doc, err)
		}
	}
}

// TestTranslateToMsgpack: values that msgpack lacks become the nearest ones that it has.
func TestTranslateToMsgpack(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ from, want string }{
		{"{(None,)}", "[[None]]"},
		{"((),)", "[[]]"},
		{"18446744073709551615", "18446744073709551615"},
		{"18446744073709551616", "18446744073709551616"},
		{"-9223372036854775809", "-9223372036854775809"},
		{"-9223372036854775808", "-9223372036854775808"},
		{"1e5", "100000.0"},
	} {
		to := codec.ByName("msgpack")
		doc, err := translate(codec.ByName("serpent"), []byte(c.from), to)
		if err != nil {
			t.Errorf("%s: %v", c.from, err)
			continue
		}
		if got, err := reprOf(to, doc, codec.Limits{}); err != nil || got != c.want {
			t.Errorf("%s = %s, %v, want %s", c.from, got, err, c.want)
		}
	}
}

// TestBinaryTruncated: every function rejects truncated documents.
func TestBinaryTruncated(t *testing.T) {
	t.Parallel()
	const name = "msgpack"
	s := codec.ByName(name)
	for _, v := range jsonLines[valueVector](t, "testdata/values-"+name+".jsonl") {
		if v.Hex == nil || strings.Contains(*v.Loads, "list is not allowed") {
			continue
		}
		doc := unhex(t, *v.Hex)
		for n := range doc {
			wantError(t, name+" "+v.Repr, s.Decode(doc[:n], codec.Limits{}, pyNone{}), object.CodeInvalid, "ValueError")
		}
	}
	for _, call := range []string{"call_kwargs.req", "attr_get.req", "batch.req"} {
		doc := recordedCall(t, "pyro5-"+name+".jsonl", call)
		var h pyro.Head
		for n := range doc {
			if err := pyro.DecodeCall(s, doc[:n], codec.Limits{}, pyNone{}); err == nil {
				t.Errorf("%s: DecodeCall of %d bytes of %s was accepted", name, n, call)
			}
			// The scan need not look behind the first argument.
			if err := pyro.ScanCall(s, doc[:n], call == "batch.req", &h); err == nil && n < len(doc)/2 {
				t.Errorf("%s: ScanCall of %d bytes of %s was accepted", name, n, call)
			}
		}
	}
	doc := recordedCall(t, "pyro5-"+name+".jsonl", "handshake.req")
	for n := range doc {
		if id, _, err := pyro.ScanConnect(s, doc[:n]); err == nil {
			t.Errorf("%s: ScanConnect of %d bytes = %q", name, n, id)
		}
	}
}
