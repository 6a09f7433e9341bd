package codec

import (
	"bytes"
	"encoding/base64"
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/hearthhost/hearth/object"
)

// What the two text formats, serpent and json, have in common.

// textReader is a place in one document.
type textReader struct {
	doc      []byte
	pos      int
	lim      Limits
	elements int    // how many more values the containers may hold
	scratch  []byte // of texts with escapes and of bytes
}

func newTextReader(doc []byte, lim Limits) textReader {
	lim = lim.orDefaults()
	return textReader{doc: doc, lim: lim, elements: lim.Elements}
}

// charge takes an element off the limit.
func (r *textReader) charge() error {
	if r.elements--; r.elements < 0 {
		return tooMany(r.lim.Elements)
	}
	return nil
}

// take reads a word if it comes next.
func (r *textReader) take(word string) bool {
	if len(r.doc)-r.pos < len(word) || string(r.doc[r.pos:r.pos+len(word)]) != word {
		return false
	}
	r.pos += len(word)
	return true
}

// digits skips digits and returns how many there were.
func (r *textReader) digits() int {
	start := r.pos
	for r.pos < len(r.doc) && isDigit(r.doc[r.pos]) {
		r.pos++
	}
	return r.pos - start
}

func isDigit(c byte) bool { return c-'0' <= 9 }

// empty feeds a container without elements to the sink.
func empty(to object.Sink, k object.Kind) error {
	if err := to.Begin(k, 0); err != nil {
		return err
	}
	return to.End()
}

// appendPyFloat appends a finite float as Python's repr lays it out: the shortest digits
// that read back as the same double, plainly between 1e-4 and 1e16, else with an exponent.
func appendPyFloat(b []byte, v float64) []byte {
	if a := math.Abs(v); a != 0 && (a < 1e-4 || a >= 1e16) {
		return strconv.AppendFloat(b, v, 'e', -1, 64)
	}
	start := len(b)
	b = strconv.AppendFloat(b, v, 'f', -1, 64)
	if bytes.IndexByte(b[start:], '.') < 0 {
		b = append(b, '.', '0')
	}
	return b
}

// parseFloat reads digits that the caller has checked. Too large a number is infinite.
func parseFloat(b []byte) float64 {
	v, _ := strconv.ParseFloat(string(b), 64) // the only error left is the range
	return v
}

// appendEscaped appends a code point that was written as an escape. A surrogate becomes
// three bytes; the second of a pair turns them into the one character that both mean.
// b must hold encoded surrogates only where this function put them.
func appendEscaped(b []byte, c rune) []byte {
	if c < 0xd800 || c > 0xdfff {
		return utf8.AppendRune(b, c)
	}
	if n := len(b); c >= 0xdc00 && n >= 3 && b[n-3] == 0xed && b[n-2] >= 0xa0 && b[n-2] <= 0xaf {
		high := rune(b[n-2]&0x0f)<<6 | rune(b[n-1]&0x3f)
		return utf8.AppendRune(b[:n-3], 0x10000+high<<10+(c-0xdc00))
	}
	return append(b, 0xed, 0x80|byte(c>>6)&0x3f, 0x80|byte(c)&0x3f)
}

// surrogate returns the surrogate that the first three bytes of b encode.
func surrogate(b []byte) (c rune, ok bool) {
	if len(b) < 3 || b[0] != 0xed || b[1] < 0xa0 || b[1] > 0xbf || b[2]&0xc0 != 0x80 {
		return 0, false
	}
	return 0xd000 | rune(b[1]&0x3f)<<6 | rune(b[2]&0x3f), true
}

// hexRune reads n hexadecimal digits.
func hexRune(b []byte, n int) (c rune, ok bool) {
	if len(b) < n {
		return 0, false
	}
	for _, d := range b[:n] {
		switch {
		case d >= '0' && d <= '9':
			d -= '0'
		case d >= 'a' && d <= 'f':
			d -= 'a' - 10
		case d >= 'A' && d <= 'F':
			d -= 'A' - 10
		default:
			return 0, false
		}
		if c = c<<4 | rune(d); c > utf8.MaxRune {
			return 0, false
		}
	}
	return c, true
}

// pairOfTexts is a dict of exactly two texts, as those dicts are that stand for bytes
// and for nan.
type pairOfTexts struct {
	keys, values [2][]byte
	end          int // behind the '}'
}

// readPairOfTexts looks at the dict that begins at doc[pos] and reports whether it is
// a pair of texts without escapes whose first key is one of those that matter. It gives
// up at the first byte that does not fit, so looking costs at most the length of two
// texts. Single says that texts may stand in single quotes and commas may trail.
func readPairOfTexts(doc []byte, pos int, single bool) (p pairOfTexts, ok bool) {
	pos++
	for i := range 2 {
		if p.keys[i], pos, ok = plainText(doc, pos, single); !ok {
			return p, false
		}
		if k := p.keys[0]; i == 0 && string(k) != "data" && string(k) != "encoding" &&
			(!single || string(k) != "__class__" && string(k) != "value") {
			return p, false
		}
		if pos, ok = skipTo(doc, pos, ':'); !ok {
			return p, false
		}
		if p.values[i], pos, ok = plainText(doc, pos, single); !ok {
			return p, false
		}
		if after, comma := skipTo(doc, pos, ','); comma && (i == 0 || single) {
			pos = after
		} else if i == 0 {
			return p, false
		}
	}
	p.end, ok = skipTo(doc, pos, '}')
	return p, ok
}

// get returns the value of a key, nil if p lacks it.
func (p *pairOfTexts) get(key string) []byte {
	for i, k := range p.keys {
		if string(k) == key {
			return p.values[i]
		}
	}
	return nil
}

// base64 decodes p, if it is the dict that stands for bytes, into buf.
func (p *pairOfTexts) base64(buf []byte) (_ []byte, ok bool) {
	data := p.get("data")
	if data == nil || string(p.get("encoding")) != "base64" {
		return buf, false
	}
	if n := base64.StdEncoding.DecodedLen(len(data)); cap(buf) < n {
		buf = make([]byte, n)
	} else {
		buf = buf[:n]
	}
	n, err := base64.StdEncoding.Strict().Decode(buf, data)
	return buf[:n], err == nil
}

// plainText reads a text that holds neither escapes nor control characters.
func plainText(doc []byte, pos int, single bool) (text []byte, end int, ok bool) {
	pos = skipBlanks(doc, pos)
	if pos == len(doc) || doc[pos] != '"' && (doc[pos] != '\'' || !single) {
		return nil, pos, false
	}
	quote := doc[pos]
	for i := pos + 1; i < len(doc); i++ {
		switch c := doc[i]; {
		case c == quote:
			return doc[pos+1 : i], i + 1, true
		case c == '\\', c < ' ', c >= utf8.RuneSelf: // none occurs in what is looked for
			return nil, pos, false
		}
	}
	return nil, pos, false
}

// skipBlanks returns the first position from pos on that is not blank.
func skipBlanks(doc []byte, pos int) int {
	for pos < len(doc) && (doc[pos] == ' ' || doc[pos] == '\n' || doc[pos] == '\r' || doc[pos] == '\t') {
		pos++
	}
	return pos
}

// skipTo skips blanks and the byte c.
func skipTo(doc []byte, pos int, c byte) (end int, ok bool) {
	pos = skipBlanks(doc, pos)
	if pos == len(doc) || doc[pos] != c {
		return pos, false
	}
	return pos + 1, true
}
