package codec

import (
	"bytes"
	"unicode/utf8"

	"github.com/hearthhost/hearth/object"
)

// serpentReader is a position in one document. A container is announced to the sink before its elements. The kind of
// a '(' or '{' is known only behind its first element, so that element is kept in tok.
type serpentReader struct{ source }

func newSerpentReader(doc []byte, lim Limits) serpentReader {
	return serpentReader{newSource(doc, lim)}
}

// peek skips blanks and comments and returns the first byte of the next token, 0 at the end.
func (r *serpentReader) peek() (byte, error) {
	if r.pos < len(r.doc) {
		if c := r.doc[r.pos]; c > ' ' && c != '#' {
			return c, nil
		}
	}
	return r.skipBlanks()
}

// skipBlanks is peek at a blank or comment.
func (r *serpentReader) skipBlanks() (byte, error) {
	for r.pos < len(r.doc) {
		switch c := r.doc[r.pos]; c {
		case ' ', '\n', '\r', '\t':
			r.pos++
		case '#':
			n := bytes.IndexByte(r.doc[r.pos:], '\n')
			if n < 0 {
				n = len(r.doc) - r.pos
			}
			comment := r.doc[r.pos : r.pos+n]
			if !utf8.Valid(comment) {
				return 0, notUTF8(r.pos)
			}
			if i := bytes.IndexByte(comment, 0); i >= 0 {
				return 0, zeroByte(r.pos + i)
			}
			r.pos += n
		case 0:
			return 0, zeroByte(r.pos)
		default:
			return c, nil
		}
	}
	return 0, nil
}

func zeroByte(offset int) error {
	return invalid(object.ReasonValue, "zero byte in the serpent document at %d", offset)
}

func (r *serpentReader) syntaxError(label string) error {
	if r.pos >= len(r.doc) {
		return invalid(object.ReasonSyntax, "serpent document of %d bytes ends where %s", len(r.doc), label)
	}
	if c, size := utf8.DecodeRune(r.doc[r.pos:]); c == utf8.RuneError && size == 1 {
		return notUTF8(r.pos)
	}
	return invalid(object.ReasonSyntax, "serpent: %s at byte %d", label, r.pos)
}

func (r *serpentReader) typeError(label string) error {
	if r.pos >= len(r.doc) {
		return r.syntaxError("a value must follow")
	}
	return invalid(object.ReasonType, "%s (byte %d)", label, r.pos)
}

func (r *serpentReader) unhashable(k object.Kind) error {
	return invalid(object.ReasonType, "unhashable type: '%s' (byte %d)", k, r.pos)
}

// atEnd rejects data behind the value except blanks and comments.
func (r *serpentReader) atEnd() error {
	if _, err := r.peek(); err != nil {
		return err
	}
	if r.pos != len(r.doc) {
		return r.syntaxError("extra data")
	}
	return nil
}

// token returns the type of the next value.
func (r *serpentReader) token() (Token, error) {
	c, err := r.peek()
	if err != nil {
		return TokenOther, err
	}
	switch c {
	case '\'', '"':
		return TokenText, nil
	case '(', '[':
		return TokenSequence, nil
	case '{':
		return TokenDict, nil
	case 'N':
		return TokenNull, nil
	}
	return TokenOther, nil
}

// next moves to element i of a container, past the comma. more is false at the end.
func (r *serpentReader) next(i int, end byte) (more bool, err error) {
	c, err := r.peek()
	if err != nil {
		return false, err
	}
	if i > 0 && c == ',' {
		r.pos++
		c, err = r.peek()
		if err != nil {
			return false, err
		}
	} else if i > 0 && c != end {
		return false, r.syntaxError("a comma or bracket is missing")
	}
	if c == end {
		r.pos++
		return false, nil
	}
	return true, nil
}

// openSequence reads the first bracket of a tuple or list and returns the closing bracket.
func (r *serpentReader) openSequence(label string) (end byte, err error) {
	switch c, err := r.peek(); {
	case err != nil:
		return 0, err
	case c == '(':
		r.pos++
		return ')', nil
	case c == '[':
		r.pos++
		return ']', nil
	}
	return 0, r.typeError(label)
}

// openDict reads the first bracket of a dict.
func (r *serpentReader) openDict(label string) error {
	c, err := r.peek()
	if err != nil {
		return err
	}
	if c != '{' {
		return r.typeError(label)
	}
	r.pos++
	return nil
}

// key moves to pair i of a dict inside depth containers and reads its key and the colon. A key that is not a text is
// nil. more is false at the end of the dict.
func (r *serpentReader) key(i, depth int) (key []byte, more bool, err error) {
	more, err = r.next(i, '}')
	if err != nil || !more {
		return nil, false, err
	}
	if err := r.charge(); err != nil {
		return nil, false, err
	}
	c, err := r.peek()
	if err != nil {
		return nil, false, err
	}
	if c == '\'' || c == '"' {
		key, err = r.stableText("key")
	} else {
		err = r.value(noSink{}, depth, true)
	}
	if err != nil {
		return nil, false, err
	}
	return key, true, r.colon()
}

// value reads one value inside depth containers and feeds it to the sink.
func (r *serpentReader) value(sink object.Sink, depth int, hash bool) error {
	c, err := r.peek()
	if err != nil {
		return err
	}
	switch c {
	case '(':
		return r.parenthesis(sink, depth, hash, false)
	case '[':
		if hash {
			return r.unhashable(object.ListKind)
		}
		return r.list(sink, depth)
	case '{':
		if hash {
			return r.unhashable(object.DictKind)
		}
		if p, ok := readPairOfTexts(r.doc, r.pos, true); ok {
			if ok, err := r.pair(sink, &p); ok {
				return err
			}
		}
		return r.brace(sink, depth, false)
	}
	if err := r.scalar(); err != nil {
		return err
	}
	return r.emit(sink)
}

// pair reads a dict that represents bytes or a float. ok is false for other dicts.
func (r *serpentReader) pair(sink object.Sink, p *pairOfTexts) (ok bool, err error) {
	if b, ok := p.base64(r.scratch); ok {
		r.pos, r.scratch = p.end, b
		return true, sink.Bytes(b)
	}
	if string(p.get("__class__")) != "float" {
		return false, nil
	}
	v, ok := floatText(p.get("value"))
	if !ok {
		return false, nil
	}
	r.pos = p.end
	return true, sink.Float(v)
}
