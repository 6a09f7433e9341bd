package codec

import (
	"math"
	"unicode/utf8"

	"github.com/hearthhost/hearth/object"
)

// jsonReader walks one document.
type jsonReader struct {
	doc      []byte
	pos      int
	lim      Limits
	elements int    // how many more values the containers may hold
	scratch  []byte // of texts with escapes and of bytes
	begun    bool   // a key of the call has been read
}

func newJSONReader(doc []byte, lim Limits) jsonReader {
	lim = lim.orDefaults()
	return jsonReader{doc: doc, lim: lim, elements: lim.Elements}
}

// peek skips blanks and returns the byte that begins the next token, 0 at the end.
func (r *jsonReader) peek() byte {
	for r.pos < len(r.doc) {
		switch c := r.doc[r.pos]; c {
		case ' ', '\n', '\r', '\t':
			r.pos++
		default:
			return c
		}
	}
	return 0
}

func (r *jsonReader) bad(what string) error {
	if r.pos >= len(r.doc) {
		return invalid("ValueError", "json document of %d bytes ends where %s", len(r.doc), what)
	}
	return invalid("ValueError", "json: %s at byte %d", what, r.pos)
}

func (r *jsonReader) wrong(what string) error {
	if r.pos >= len(r.doc) {
		return r.bad("a value must follow")
	}
	return invalid("TypeError", "%s (byte %d)", what, r.pos)
}

// atEnd refuses anything but blanks behind the value.
func (r *jsonReader) atEnd() error {
	if r.peek(); r.pos != len(r.doc) {
		return r.bad("extra data")
	}
	return nil
}

// open reads the bracket that begins the document.
func (r *jsonReader) open(bracket byte, what string) error {
	if r.peek() != bracket {
		return r.wrong(what)
	}
	r.pos++
	return nil
}

func (r *jsonReader) charge() error {
	if r.elements--; r.elements < 0 {
		return tooMany(r.lim.Elements)
	}
	return nil
}

// item goes to element i of a container, past the comma; more is false at its end.
func (r *jsonReader) item(i int, end byte) (more bool, err error) {
	c := r.peek()
	if c == end {
		r.pos++
		return false, nil
	}
	if i > 0 {
		if c != ',' {
			return false, r.bad("a comma or bracket is missing")
		}
		r.pos++
		if r.peek() == end {
			return false, r.bad("a value must follow")
		}
	}
	return true, r.charge()
}

// key reads a key of a dict and the colon; more is false at the dict's end.
func (r *jsonReader) key(first bool) (key []byte, more bool, err error) {
	i := 1
	if first {
		i = 0
	}
	if more, err = r.item(i, '}'); err != nil || !more {
		return nil, false, err
	}
	if r.peek() != '"' {
		return nil, false, r.bad("a key in double quotes must follow")
	}
	if key, err = r.text(); err != nil {
		return nil, false, err
	}
	if r.peek() != ':' {
		return nil, false, r.bad("a colon is missing")
	}
	r.pos++
	return key, true, r.charge()
}

// value reads one value that stands inside depth containers and feeds it to the sink.
func (r *jsonReader) value(to object.Sink, depth int) error {
	switch c := r.peek(); c {
	case '"':
		b, err := r.text()
		if err != nil {
			return err
		}
		return to.Text(b)
	case '{':
		if p, ok := readPairOfTexts(r.doc, r.pos, false); ok {
			if b, ok := p.base64(r.scratch); ok {
				r.pos, r.scratch = p.end, b
				return to.Bytes(b)
			}
		}
		return r.dict(to, depth)
	case '[':
		return r.list(to, depth)
	case 't', 'f', 'n', 'N', 'I':
		return r.word(to)
	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		return r.number(to)
	}
	return r.bad("a value must follow")
}

func (r *jsonReader) list(to object.Sink, depth int) error {
	if depth >= r.lim.Depth {
		return tooDeep(r.lim.Depth)
	}
	r.pos++
	if r.peek() == ']' {
		r.pos++
		return r.empty(to, object.ListKind)
	}
	if err := to.Begin(object.ListKind, -1); err != nil {
		return err
	}
	for i := 0; ; i++ {
		more, err := r.item(i, ']')
		if err != nil {
			return err
		}
		if !more {
			return to.End()
		}
		if err := r.value(to, depth+1); err != nil {
			return err
		}
	}
}

func (r *jsonReader) dict(to object.Sink, depth int) error {
	if depth >= r.lim.Depth {
		return tooDeep(r.lim.Depth)
	}
	r.pos++
	if r.peek() == '}' {
		r.pos++
		return r.empty(to, object.DictKind)
	}
	if err := to.Begin(object.DictKind, -1); err != nil {
		return err
	}
	for first := true; ; first = false {
		key, more, err := r.key(first)
		if err != nil {
			return err
		}
		if !more {
			return to.End()
		}
		if err := to.Text(key); err != nil {
			return err
		}
		if err := r.value(to, depth+1); err != nil {
			return err
		}
	}
}

func (r *jsonReader) empty(to object.Sink, k object.Kind) error {
	if err := to.Begin(k, 0); err != nil {
		return err
	}
	return to.End()
}

// take reads a word if it comes next.
func (r *jsonReader) take(word string) bool {
	if len(r.doc)-r.pos < len(word) || string(r.doc[r.pos:r.pos+len(word)]) != word {
		return false
	}
	r.pos += len(word)
	return true
}

func (r *jsonReader) word(to object.Sink) error {
	switch {
	case r.take("true"):
		return to.Bool(true)
	case r.take("false"):
		return to.Bool(false)
	case r.take("null"):
		return to.Null()
	case r.take("NaN"):
		return to.Float(math.NaN())
	case r.take("Infinity"):
		return to.Float(math.Inf(1))
	}
	return r.bad("a value must follow")
}

// number reads an integer of any size or a float.
func (r *jsonReader) number(to object.Sink) error {
	if r.take("-Infinity") {
		return to.Float(math.Inf(-1))
	}
	start := r.pos
	if r.doc[r.pos] == '-' {
		r.pos++
	}
	n := r.digits()
	if n == 0 || n > 1 && r.doc[r.pos-n] == '0' {
		r.pos -= n
		return r.bad("this is not a number")
	}
	whole := r.pos
	if r.pos+1 < len(r.doc) && r.doc[r.pos] == '.' && isDigit(r.doc[r.pos+1]) {
		r.pos++
		r.digits()
	}
	if r.pos < len(r.doc) && r.doc[r.pos]|0x20 == 'e' {
		mark := r.pos
		r.pos++
		if r.pos < len(r.doc) && (r.doc[r.pos] == '+' || r.doc[r.pos] == '-') {
			r.pos++
		}
		if r.digits() == 0 {
			r.pos = mark
		}
	}
	if b := r.doc[start:r.pos]; r.pos > whole {
		return to.Float(parseFloat(b))
	} else if string(b) == "-0" {
		return to.Int(0)
	} else {
		return decimalTo(to, b, r.lim.Digits, start)
	}
}

func isDigit(c byte) bool { return c-'0' <= 9 }

// digits skips digits and returns how many there were.
func (r *jsonReader) digits() int {
	start := r.pos
	for r.pos < len(r.doc) && isDigit(r.doc[r.pos]) {
		r.pos++
	}
	return r.pos - start
}

// own reads a text that stays valid; what names it in the error if it is none.
func (r *jsonReader) own(what string) ([]byte, error) {
	if r.peek() != '"' {
		return nil, r.wrong(what + " is not a text")
	}
	b, err := r.text()
	r.scratch = nil // it may hold the text
	return b, err
}

// text reads the text that begins at the quote under r.pos. It aliases the document or,
// if it holds escapes, r.scratch.
func (r *jsonReader) text() ([]byte, error) {
	start := r.pos + 1
	var high byte
	for i := start; i < len(r.doc); i++ {
		c := r.doc[i]
		if c == '"' {
			r.pos = i + 1
			b := r.doc[start:i:i]
			if high >= utf8.RuneSelf && !utf8.Valid(b) {
				return nil, notUTF8(start)
			}
			return b, nil
		}
		if c == '\\' {
			return r.escapedText(start, i)
		}
		if c < ' ' {
			return nil, invalid("ValueError", "json: control character at byte %d", i)
		}
		high |= c
	}
	return nil, unclosedText(start - 1)
}

func notUTF8(at int) error {
	return invalid("ValueError", "text at byte %d is not valid UTF-8", at)
}

func unclosedText(at int) error {
	return invalid("ValueError", "text at byte %d has no end", at)
}

// escapedText reads the text from start on, whose first escape is at i.
func (r *jsonReader) escapedText(start, i int) ([]byte, error) {
	b := r.scratch[:0]
	run := start // where what is not yet in b begins
	for i < len(r.doc) {
		c := r.doc[i]
		if c != '"' && c != '\\' {
			if c < ' ' {
				return nil, invalid("ValueError", "json: control character at byte %d", i)
			}
			i++
			continue
		}
		if !utf8.Valid(r.doc[run:i]) {
			return nil, notUTF8(run)
		}
		b = append(b, r.doc[run:i]...)
		if c == '"' {
			r.pos, r.scratch = i+1, b
			return b, nil
		}
		esc, n, ok := jsonEscape(r.doc[i+1:])
		if !ok {
			return nil, invalid("ValueError", "json: invalid escape at byte %d", i)
		}
		b = appendEscaped(b, esc)
		i += 1 + n
		run = i
	}
	return nil, unclosedText(start - 1)
}

// jsonEscape reads what follows a backslash: n bytes that mean c.
func jsonEscape(b []byte) (c rune, n int, ok bool) {
	if len(b) == 0 {
		return 0, 0, false
	}
	switch b[0] {
	case '"', '\\', '/':
		return rune(b[0]), 1, true
	case 'b':
		return '\b', 1, true
	case 'f':
		return '\f', 1, true
	case 'n':
		return '\n', 1, true
	case 'r':
		return '\r', 1, true
	case 't':
		return '\t', 1, true
	case 'u':
		c, ok = hexRune(b[1:], 4)
		return c, 5, ok
	}
	return 0, 0, false
}
