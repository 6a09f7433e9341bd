package web

import (
	"bytes"
	"encoding/base64"
	"math"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/object"
)

// reader is a position in one document.
type reader struct {
	doc      []byte
	pos      int
	lim      codec.Limits
	elements int      // values and keys so far
	keys     [][]byte // keys of the open dicts
	scratch  []byte   // of the last text with escapes
}

func newReader(doc []byte, lim codec.Limits) *reader {
	orDefault := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	orDefault(&lim.Depth, defaultDepth)
	orDefault(&lim.Elements, defaultElements)
	orDefault(&lim.Digits, defaultDigits)
	return &reader{doc: doc, lim: lim}
}

// peek skips blanks and returns the first byte of the next token, 0 at the end of the document.
func (r *reader) peek() byte {
	for r.pos < len(r.doc) {
		switch c := r.doc[r.pos]; c {
		case ' ', '\t', '\n', '\r':
			r.pos++
		default:
			return c
		}
	}
	return 0
}

// syntaxError returns the error for an unexpected byte or end at the position.
func (r *reader) syntaxError(want string) error {
	if r.pos >= len(r.doc) {
		return invalid(object.ReasonValue, "json document of %d bytes ends where %s", len(r.doc), want)
	}
	return invalid(object.ReasonValue, "json: %s at byte %d", want, r.pos)
}

// end rejects data behind the value.
func (r *reader) end() error {
	if r.peek(); r.pos != len(r.doc) {
		return r.syntaxError("extra data")
	}
	return nil
}

// charge counts one value or key.
func (r *reader) charge() error {
	if r.elements++; r.elements > r.lim.Elements {
		return object.Errorf(object.CodeTooLarge, "more than %d elements", r.lim.Elements)
	}
	return nil
}

// value feeds the next value, which is inside depth containers.
func (r *reader) value(sink object.Sink, depth int) error {
	if err := r.charge(); err != nil {
		return err
	}
	switch c := r.peek(); {
	case c == '"':
		b, err := r.text()
		if err != nil {
			return err
		}
		return sink.Text(b)
	case c == '{':
		if b, end, ok := r.base64(); ok {
			r.pos = end
			return sink.Bytes(b)
		}
		return r.dict(sink, depth)
	case c == '[':
		return r.list(sink, depth)
	case c == '-' || '0' <= c && c <= '9':
		return r.number(sink)
	case r.accept("true"):
		return sink.Bool(true)
	case r.accept("false"):
		return sink.Bool(false)
	case r.accept("null"):
		return sink.Null()
	}
	return r.syntaxError("a value must follow")
}

// accept moves past a word and reports whether it is next.
func (r *reader) accept(word string) bool {
	if !bytes.HasPrefix(r.doc[r.pos:], []byte(word)) {
		return false
	}
	r.pos += len(word)
	return true
}

// enter checks the depth of a container and moves past its bracket.
func (r *reader) enter(depth int) error {
	if depth >= r.lim.Depth {
		return object.Errorf(object.CodeTooLarge, "containers nest deeper than %d", r.lim.Depth)
	}
	r.pos++
	return nil
}

// more moves past the comma before element i. It reports false at the end of the container, which it passes.
func (r *reader) more(i int, end byte) (bool, error) {
	c := r.peek()
	switch {
	case c == end:
		r.pos++
		return false, nil
	case i == 0:
		return true, nil
	case c != ',':
		return false, r.syntaxError("a comma or bracket is missing")
	}
	r.pos++
	if r.peek() == end {
		return false, r.syntaxError("a value must follow")
	}
	return true, nil
}

func (r *reader) list(sink object.Sink, depth int) error {
	if err := r.enter(depth); err != nil {
		return err
	}
	if err := r.begin(sink, object.ListKind, ']'); err != nil {
		return err
	}
	for i := 0; ; i++ {
		more, err := r.more(i, ']')
		switch {
		case err != nil:
			return err
		case !more:
			return sink.End()
		}
		if err := r.value(sink, depth+1); err != nil {
			return err
		}
	}
}

// begin opens a container, with 0 elements if its end is next.
func (r *reader) begin(sink object.Sink, kind object.Kind, end byte) error {
	if r.peek() == end {
		return sink.Begin(kind, 0)
	}
	return sink.Begin(kind, -1)
}

func (r *reader) dict(sink object.Sink, depth int) error {
	if err := r.enter(depth); err != nil {
		return err
	}
	if err := r.begin(sink, object.DictKind, '}'); err != nil {
		return err
	}
	known := keySet{r: r, first: len(r.keys)}
	for i := 0; ; i++ {
		more, err := r.more(i, '}')
		switch {
		case err != nil:
			return err
		case !more:
			r.keys = r.keys[:known.first]
			return sink.End()
		}
		key, err := r.key(&known)
		if err != nil {
			return err
		}
		if err := sink.Text(key); err != nil {
			return err
		}
		if err := r.value(sink, depth+1); err != nil {
			return err
		}
	}
}

// key reads a key of a dict and its colon.
func (r *reader) key(known *keySet) ([]byte, error) {
	if r.peek() != '"' {
		return nil, r.syntaxError("a key in double quotes must follow")
	}
	if err := r.charge(); err != nil {
		return nil, err
	}
	at := r.pos
	key, err := r.text()
	if err != nil {
		return nil, err
	}
	if len(r.scratch) > 0 && len(key) > 0 && &key[0] == &r.scratch[0] {
		r.scratch = nil // the set keeps it
	}
	if !known.add(key) {
		return nil, invalid(object.ReasonValue, "json: the key %.100q at byte %d occurs twice", key, at)
	}
	if r.peek() != ':' {
		return nil, r.syntaxError("a colon is missing")
	}
	r.pos++
	return key, nil
}

// keySet is the set of keys of one open dict.
type keySet struct {
	r     *reader
	first int // index of the first key in r.keys
	many  map[string]struct{}
}

// fewKeys is the number of keys up to which a set is searched in order.
const fewKeys = 16

// add adds a key. It reports false for one that the set has.
func (s *keySet) add(key []byte) bool {
	if s.many != nil {
		before := len(s.many)
		s.many[string(key)] = struct{}{}
		return len(s.many) > before
	}
	for _, k := range s.r.keys[s.first:] {
		if bytes.Equal(k, key) {
			return false
		}
	}
	s.r.keys = append(s.r.keys, key)
	if all := s.r.keys[s.first:]; len(all) > fewKeys {
		s.many = make(map[string]struct{}, 2*len(all))
		for _, k := range all {
			s.many[string(k)] = struct{}{}
		}
	}
	return true
}

// plain has the bytes that a text holds without an escape or a check: ASCII without controls, quotes and backslashes.
var plain = func() (t [256]bool) {
	for c := ' '; c < utf8.RuneSelf; c++ {
		t[c] = c != '"' && c != '\\'
	}
	return t
}()

// text reads the text at the position. It is valid until the next text, and aliases the document if it has no escapes.
func (r *reader) text() ([]byte, error) {
	start := r.pos + 1
	i := start
	for i < len(r.doc) && plain[r.doc[i]] {
		i++
	}
	if i < len(r.doc) && r.doc[i] == '"' {
		r.pos = i + 1
		return r.doc[start:i], nil
	}
	return r.specialText(start, i)
}

// specialText reads a text whose byte at i is not plain.
func (r *reader) specialText(start, i int) ([]byte, error) {
	out := r.scratch[:0]
	run := start // beginning of the bytes that are not in out yet
	escaped := false
	for {
		if i >= len(r.doc) {
			r.pos = i
			return nil, r.syntaxError("a text is not closed")
		}
		switch c := r.doc[i]; {
		case plain[c]:
			i++
		case c == '"':
			r.pos = i + 1
			if !escaped {
				return r.doc[start:i], nil
			}
			out = append(out, r.doc[run:i]...)
			r.scratch = out
			return out, nil
		case c == '\\':
			out = append(out, r.doc[run:i]...)
			code, n := escape(r.doc[i:])
			if n == 0 {
				r.pos = i
				return nil, r.syntaxError("an invalid escape sequence")
			}
			out = utf8.AppendRune(out, code)
			i += n
			run, escaped = i, true
		case c < utf8.RuneSelf:
			r.pos = i
			return nil, r.syntaxError("a control character")
		default:
			char, n := utf8.DecodeRune(r.doc[i:])
			if char == utf8.RuneError && n == 1 {
				r.pos = i
				return nil, r.syntaxError("a text is not UTF-8")
			}
			i += n
		}
	}
}

// escape returns the character and the length of the escape sequence at the beginning of b; 0 for an invalid one, such
// as half a surrogate pair.
func escape(b []byte) (c rune, length int) {
	if len(b) < 2 {
		return 0, 0
	}
	switch b[1] {
	case '"', '\\', '/':
		return rune(b[1]), 2
	case 'b':
		return '\b', 2
	case 'f':
		return '\f', 2
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case 't':
		return '\t', 2
	case 'u':
	default:
		return 0, 0
	}
	c, ok := hex4(b[2:])
	if !ok || !utf16.IsSurrogate(c) {
		if !ok {
			return 0, 0
		}
		return c, 6
	}
	if len(b) < 12 || b[6] != '\\' || b[7] != 'u' {
		return 0, 0
	}
	low, ok := hex4(b[8:])
	if c = utf16.DecodeRune(c, low); !ok || c == utf8.RuneError {
		return 0, 0
	}
	return c, 12
}

// hex4 returns the number of four hexadecimal digits.
func hex4(b []byte) (n rune, ok bool) {
	if len(b) < 4 {
		return 0, false
	}
	for _, c := range b[:4] {
		switch {
		case '0' <= c && c <= '9':
			n = n<<4 | rune(c-'0')
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			n = n<<4 | rune(c|0x20-'a'+10)
		default:
			return 0, false
		}
	}
	return n, true
}

// base64 returns the bytes of a dict of bytes at the position, and the position behind it. ok is false for another
// dict. It does not move.
func (r *reader) base64() (b []byte, end int, ok bool) {
	at := *r // the dict is read again if it is another one
	at.pos++
	var data, encoding []byte
	for i := range 2 {
		more, err := at.more(i, '}')
		if err != nil || !more || at.peek() != '"' {
			return nil, 0, false
		}
		key, err := at.text()
		if err != nil || string(key) != "data" && string(key) != "encoding" {
			return nil, 0, false
		}
		isData := string(key) == "data"
		if at.peek() != ':' {
			return nil, 0, false
		}
		at.pos++
		if at.peek() != '"' {
			return nil, 0, false
		}
		value, err := at.text()
		if err != nil {
			return nil, 0, false
		}
		if isData {
			data = append([]byte{}, value...)
		} else {
			encoding = append([]byte{}, value...)
		}
	}
	if more, err := at.more(2, '}'); err != nil || more || data == nil || string(encoding) != "base64" {
		return nil, 0, false
	}
	n, err := base64.StdEncoding.Strict().Decode(data, data)
	if err != nil {
		return nil, 0, false
	}
	return data[:n], at.pos, true
}

// number reads an integer of any size or a float.
func (r *reader) number(sink object.Sink) error {
	start := r.pos
	if r.doc[r.pos] == '-' {
		r.pos++
	}
	n := r.digits()
	if n == 0 || n > 1 && r.doc[r.pos-n] == '0' {
		r.pos -= n
		return r.syntaxError("this is not a number")
	}
	whole := r.pos
	if r.pos < len(r.doc) && r.doc[r.pos] == '.' {
		r.pos++
		if r.digits() == 0 {
			return r.syntaxError("a digit must follow")
		}
	}
	if r.pos < len(r.doc) && r.doc[r.pos]|0x20 == 'e' {
		r.pos++
		if r.pos < len(r.doc) && (r.doc[r.pos] == '+' || r.doc[r.pos] == '-') {
			r.pos++
		}
		if r.digits() == 0 {
			return r.syntaxError("a digit must follow")
		}
	}
	doc := r.doc[start:r.pos]
	if r.pos == whole {
		if string(doc) == "-0" {
			return sink.Int(0)
		}
		return codec.FeedDecimal(sink, doc, r.lim.Digits, start)
	}
	v, err := strconv.ParseFloat(string(doc), 64)
	if err != nil || math.IsInf(v, 0) {
		return invalid(object.ReasonValue, "json: the number at byte %d is outside the range of a float", start)
	}
	return sink.Float(v)
}

// digits moves past decimal digits and returns their number.
func (r *reader) digits() int {
	start := r.pos
	for r.pos < len(r.doc) && '0' <= r.doc[r.pos] && r.doc[r.pos] <= '9' {
		r.pos++
	}
	return r.pos - start
}
