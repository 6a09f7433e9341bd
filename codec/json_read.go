package codec

import (
	"math"

	"github.com/hearthhost/hearth/object"
)

// jsonReader walks one document.
type jsonReader struct {
	textReader
	begun bool // a key of the call has been read
}

func newJSONReader(doc []byte, lim Limits) jsonReader {
	return jsonReader{textReader: newTextReader(doc, lim)}
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
		return empty(to, object.ListKind)
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
		return empty(to, object.DictKind)
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
