package codec

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/hearthhost/hearth/object"
)

// sampleTexts hold every kind of special byte at every position in a word, and kinds of text.
func sampleTexts() []string {
	all := []string{
		"", "a", strings.Repeat("0123456789abcdefghijklmnopqrstuvwxyz", 28)[:1000], strings.Repeat("é", 100),
		"it's", `say "x"`, `it's "x"`, "\xed\xa0\x80", "aé\xed\xa0\x80é", "\xff", strings.Repeat("\t", 20),
		strings.Repeat(`\u00e9`, 10), `\ud83d\ude00`, "\u200b\U0001f600\u0300",
	}
	for _, c := range []byte{0, '\t', '\n', '\r', 0x1f, ' ', '"', '\'', '\\', 0x7e, 0x7f, 0x80, 0xc3, 0xff} {
		for _, n := range []int{0, 6, 7, 8, 15, 31, 32, 39, 63, 64, 95, 101} {
			all = append(all, strings.Repeat("a", n)+string([]byte{c})+"bcdefghijklmnopqrstuvwxyzabcdefghijklm")
		}
	}
	return all
}

// FuzzSpecialBytes compares the search by words with one by bytes.
func FuzzSpecialBytes(f *testing.F) {
	for _, text := range sampleTexts() {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, quote := range []byte{'"', '\''} {
			for _, s := range []*specialBytes{
				quotedBy(quote), wideQuotedBy(quote), newSpecialBytes(quote, true, true),
			} {
				for from := range min(len(b), 9) {
					want := len(b) - from
					for i, c := range b[from:] {
						if c < ' ' || c == '\\' || c == quote || c >= 0x80 && s.high != 0 || c == 0x7f && s.del != 0 {
							want = i
							break
						}
					}
					if got := s.index(b[from:]); got != want {
						t.Fatalf("set of %x, %x in %q: %d, want %d", s.quote, s.high|s.del, b[from:], got, want)
					}
				}
			}
		}
	})
}

// textOf is a sink that keeps the last text or bytes.
type textOf struct {
	noSink
	text []byte
}

func (s *textOf) Text(v []byte) error  { s.text = bytes.Clone(v); return nil }
func (s *textOf) Bytes(v []byte) error { s.text = bytes.Clone(v); return nil }

// quotedByBytes is the reference for quoted.
func quotedByBytes(rules *textRules, doc []byte) (text []byte, end int, err error) {
	quote := doc[0]
	escaped, run := false, 1
	for i := 1; i < len(doc); i++ {
		c := doc[i]
		if c != quote && c != '\\' {
			if c < ' ' && rules.rejected>>c&1 != 0 {
				return nil, 0, rules.control(c, i)
			}
			continue
		}
		if err := rules.checkRun(doc[run:i], run); err != nil {
			return nil, 0, err
		}
		if escaped || c == '\\' {
			text = append(text, doc[run:i]...)
		} else {
			text = doc[run:i]
		}
		if c == quote {
			return text, i + 1, nil
		}
		escaped = true
		esc, length, ok := rules.escape(doc[i+1:])
		if !ok {
			return nil, 0, invalid(rules.reason, "%sinvalid escape at byte %d", rules.prefix, i)
		}
		if rules.bytes {
			text = append(text, byte(esc))
		} else {
			text = appendEscaped(text, esc)
		}
		i += length
		run = i + 1
	}
	return nil, 0, rules.unclosed(0)
}

// FuzzQuoted compares the readers of quoted texts with the reference: text, end and error.
func FuzzQuoted(f *testing.F) {
	for _, text := range sampleTexts() {
		for _, quote := range []string{`"`, `'`} {
			f.Add([]byte(quote + text + quote + "x"))
			f.Add([]byte(quote + text))
			f.Add([]byte(quote + `\n` + text + quote))
		}
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		if len(doc) == 0 || doc[0] != '"' && doc[0] != '\'' {
			return
		}
		for _, rules := range []*textRules{&jsonText, &serpentText, &serpentBytes} {
			r := newSource(doc, Limits{})
			got, err := r.quoted(rules)
			want, end, wantErr := quotedByBytes(rules, doc)
			if (err == nil) != (wantErr == nil) || err != nil && err.Error() != wantErr.Error() {
				t.Fatalf("%q: error %v, want %v", doc, err, wantErr)
			}
			if err == nil && (!bytes.Equal(got, want) || r.pos != end) {
				t.Fatalf("%q: %q to %d, want %q to %d", doc, got, r.pos, want, end)
			}
		}
		got, end, ok := plainText(doc, 0, true)
		want, wantEnd, err := quotedByBytes(&jsonText, doc)
		plain := err == nil && bytes.IndexByte(doc[:wantEnd], '\\') < 0 && bytes.IndexFunc(want, notASCII) < 0
		if ok != plain || ok && (!bytes.Equal(got, want) || end != wantEnd) {
			t.Fatalf("plain text %q: %q to %d, %v; want %q to %d, %v", doc, got, end, ok, want, wantEnd, plain)
		}
	})
}

func notASCII(c rune) bool { return c >= utf8.RuneSelf }

// reprByRunes is the reference for appendSerpentText.
func reprByRunes(v []byte) (_ []byte, ok bool) {
	quote := '\''
	if strings.Contains(string(v), "'") && !strings.Contains(string(v), `"`) {
		quote = '"'
	}
	b := []byte{byte(quote)}
	for len(v) > 0 {
		c, size := utf8.DecodeRune(v)
		if c == utf8.RuneError && size == 1 {
			if c, ok = surrogate(v); !ok {
				return nil, false
			}
			size = 3
		}
		switch {
		case c == quote || c == '\\':
			b = append(b, '\\', byte(c))
		case unicode.IsPrint(c) && (c < utf8.RuneSelf || size != 3 || utf8.ValidRune(c)):
			b = append(b, v[:size]...)
		default:
			b = appendSerpentEscape(b, c)
		}
		v = v[size:]
	}
	return append(b, byte(quote)), true
}

// jsonByRunes is the reference for appendJSONText.
func jsonByRunes(v []byte) (_ []byte, ok bool) {
	b := []byte{'"'}
	for len(v) > 0 {
		c, size := utf8.DecodeRune(v)
		if c == utf8.RuneError && size == 1 {
			c, ok = surrogate(v)
			if !ok {
				return nil, false
			}
			b = appendHex(append(b, `\u`...), c, 4)
			v = v[3:]
			continue
		}
		letter := strings.IndexRune("\b\t\n\f\r", c)
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', byte(c))
		case letter >= 0:
			b = append(b, '\\', "btnfr"[letter])
		case c < ' ':
			b = appendHex(append(b, `\u`...), c, 4)
		default:
			b = append(b, v[:size]...)
		}
		v = v[size:]
	}
	return append(b, '"'), true
}

// FuzzWriteText compares the writers of texts with the references, and reads the texts back.
func FuzzWriteText(f *testing.F) {
	for _, text := range sampleTexts() {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, v []byte) {
		for _, w := range []struct {
			format Serializer
			write  func(b, v []byte) ([]byte, bool)
			want   func(v []byte) ([]byte, bool)
		}{
			{serpent{}, appendSerpentText, reprByRunes},
			{jsonFormat{}, appendJSONText, jsonByRunes},
		} {
			got, ok := w.write([]byte("before "), v)
			want, wantOK := w.want(v)
			if ok != wantOK {
				t.Fatalf("%s of %q: %v, want %v", w.format.Name(), v, ok, wantOK)
			}
			if !ok {
				continue
			}
			if !bytes.Equal(got, append([]byte("before "), want...)) {
				t.Fatalf("%s of %q: %s, want %s", w.format.Name(), v, got, want)
			}
			var back textOf
			if err := w.format.Decode(want, Limits{}, &back); err != nil {
				t.Fatalf("%s of %q: %s: %v", w.format.Name(), v, want, err)
			}
			if utf8.Valid(v) && !bytes.Equal(back.text, v) {
				t.Fatalf("%s of %q: %s is read as %q", w.format.Name(), v, want, back.text)
			}
		}
	})
}

// A dict of base64 is bytes at every size.
func TestBytesOfEverySize(t *testing.T) {
	for _, s := range []Serializer{serpent{}, jsonFormat{}} {
		for n := range 40 {
			v := bytes.Repeat([]byte{0xfb}, n)
			e := s.NewEncoder(nil)
			if err := object.Sink(e).Bytes(v); err != nil {
				t.Fatal(err)
			}
			doc, err := e.Document()
			if err != nil || !bytes.Contains(doc, []byte(base64.StdEncoding.EncodeToString(v))) {
				t.Fatalf("%s, %v", doc, err)
			}
			var back textOf
			if err := s.Decode(doc, Limits{}, &back); err != nil || !bytes.Equal(back.text, v) {
				t.Errorf("%s is %x, %v", doc, back.text, err)
			}
		}
	}
}
