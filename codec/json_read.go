package codec

import (
	"math"

	"github.com/hearthhost/hearth/object"
)

// jsonReader is a position in one document.
type jsonReader struct{ source }

func newJSONReader(doc []byte, lim Limits) jsonReader {
	return jsonReader{newSource(doc, lim)}
}

// peek skips blanks and returns the first byte of the next token, 0 at the end.
func (r *jsonReader) peek() byte {
	for r.pos < len(r.doc) {
		if c := r.doc[r.pos]; c > ' ' || blanks>>c&1 == 0 {
			return c
		}
		r.pos++
	}
	return 0
}

// token returns the type of the next value.
func (r *jsonReader) token() Token {
	switch r.peek() {
	case '"':
		return TokenText
	case '[':
		return TokenSequence
	case '{':
		return TokenDict
	case 'n':
		return TokenNull
	}
	return TokenOther
}

func (r *jsonReader) syntaxError(label string) error {
	if r.pos >= len(r.doc) {
		return invalid(object.ReasonValue, "json document of %d bytes ends where %s", len(r.doc), label)
	}
	return invalid(object.ReasonValue, "json: %s at byte %d", label, r.pos)
}

func (r *jsonReader) typeError(label string) error {
	if r.pos >= len(r.doc) {
		return r.syntaxError("a value must follow")
	}
	return invalid(object.ReasonType, "%s (byte %d)", label, r.pos)
}

// atEnd rejects data behind the value.
func (r *jsonReader) atEnd() error {
	if r.peek(); r.pos != len(r.doc) {
		return r.syntaxError("extra data")
	}
	return nil
}

// open reads the first bracket of the document.
func (r *jsonReader) open(bracket byte, label string) error {
	if r.peek() != bracket {
		return r.typeError(label)
	}
	r.pos++
	return nil
}

// item moves to element i of a container, past the comma. more is false at the end.
func (r *jsonReader) item(i int, end byte) (more bool, err error) {
	c := r.peek()
	if c == end {
		r.pos++
		return false, nil
	}
	if i > 0 {
		if c != ',' {
			return false, r.syntaxError("a comma or bracket is missing")
		}
		r.pos++
		if r.peek() == end {
			return false, r.syntaxError("a value must follow")
		}
	}
	return true, r.charge()
}

// key reads a key of a dict and the colon. more is false at the end of the dict.
func (r *jsonReader) key(first bool) (key []byte, more bool, err error) {
	i := 1
	if first {
		i = 0
	}
	more, err = r.item(i, '}')
	if err != nil || !more {
		return nil, false, err
	}
	if r.peek() != '"' {
		return nil, false, r.syntaxError("a key in double quotes must follow")
	}
	key, err = r.text()
	if err != nil {
		return nil, false, err
	}
	if r.peek() != ':' {
		return nil, false, r.syntaxError("a colon is missing")
	}
	r.pos++
	return key, true, r.charge()
}

// value reads one value inside depth containers and feeds it to the sink.
func (r *jsonReader) value(sink object.Sink, depth int) error {
	switch c := r.peek(); c {
	case '"':
		b, err := r.text()
		if err != nil {
			return err
		}
		return sink.Text(b)
	case '{':
		if p, ok := readPairOfTexts(r.doc, r.pos, false); ok {
			if b, ok := p.base64(r.scratch); ok {
				r.pos, r.scratch = p.end, b
				return sink.Bytes(b)
			}
		}
		return r.dict(sink, depth)
	case '[':
		return r.list(sink, depth)
	case 't', 'f', 'n', 'N', 'I':
		return r.word(sink)
	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		return r.number(sink)
	}
	return r.syntaxError("a value must follow")
}

func (r *jsonReader) list(sink object.Sink, depth int) error {
	if depth >= r.lim.Depth {
		return tooDeep(r.lim.Depth)
	}
	r.pos++
	if r.peek() == ']' {
		r.pos++
		return emitEmpty(sink, object.ListKind)
	}
	if err := sink.Begin(object.ListKind, -1); err != nil {
		return err
	}
	for i := 0; ; i++ {
		more, err := r.item(i, ']')
		if err != nil {
			return err
		}
		if !more {
			return sink.End()
		}
		if err := r.value(sink, depth+1); err != nil {
			return err
		}
	}
}

func (r *jsonReader) dict(sink object.Sink, depth int) error {
	if depth >= r.lim.Depth {
		return tooDeep(r.lim.Depth)
	}
	r.pos++
	if r.peek() == '}' {
		r.pos++
		return emitEmpty(sink, object.DictKind)
	}
	if err := sink.Begin(object.DictKind, -1); err != nil {
		return err
	}
	for first := true; ; first = false {
		key, more, err := r.key(first)
		if err != nil {
			return err
		}
		if !more {
			return sink.End()
		}
		if err := sink.Text(key); err != nil {
			return err
		}
		if err := r.value(sink, depth+1); err != nil {
			return err
		}
	}
}

func (r *jsonReader) word(sink object.Sink) error {
	switch {
	case r.accept("true"):
		return sink.Bool(true)
	case r.accept("false"):
		return sink.Bool(false)
	case r.accept("null"):
		return sink.Null()
	case r.accept("NaN"):
		return sink.Float(math.NaN())
	case r.accept("Infinity"):
		return sink.Float(math.Inf(1))
	}
	return r.syntaxError("a value must follow")
}

// number reads an integer of any size or a float.
func (r *jsonReader) number(sink object.Sink) error {
	if r.accept("-Infinity") {
		return sink.Float(math.Inf(-1))
	}
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
		return sink.Float(parseFloat(b))
	} else if string(b) == "-0" {
		return sink.Int(0)
	} else {
		return FeedDecimal(sink, b, r.lim.Digits, start)
	}
}
