package codec

import (
	"github.com/hearthhost/hearth/object"
)

// Reader reads a document in parts, so that its user can stop behind the part that it needs. The order is: open a
// container, then for each element call Next or Key and read exactly one value. [Discard] skips a value. [Reader.End]
// comes last.
//
// A Reader is a value: a copy keeps the position and can be used to read a part again. Errors are those of
// [Serializer].Decode. The label of a method is the start of the error's text if the value has another type. After an
// error the Reader must not be used. A Reader must not be used by several goroutines at the same time.
type Reader struct {
	format ID
	depth  int // open containers
	at     struct{ source }
}

// The readers of the formats have the same memory.
func (r *Reader) serpent() *serpentReader { return (*serpentReader)(&r.at) }
func (r *Reader) json() *jsonReader       { return (*jsonReader)(&r.at) }
func (r *Reader) msgpack() *msgpackReader { return (*msgpackReader)(&r.at) }

// Token is the type of the next value.
type Token uint8

// The tokens.
const (
	TokenOther    Token = iota // any other value, or the end of the document
	TokenNull                  // None
	TokenText                  // a text
	TokenSequence              // a list or tuple
	TokenDict                  // a dict
)

// Container is the position in an open container.
type Container struct {
	next   int  // number of the next element
	length int  // required number of elements, -1 for any number
	end    byte // closing bracket; 0 in msgpack
}

// Reset makes r a reader of a document in a serializer other than [MarshalData].
func (r *Reader) Reset(format ID, doc []byte, lim Limits) {
	lim = lim.withDefaults()
	r.format, r.depth = format, 0
	r.at.doc, r.at.pos, r.at.scratch = doc, 0, nil
	r.at.lim, r.at.elements = lim, lim.Elements
}

// Peek returns the type of the next value.
func (r *Reader) Peek() (Token, error) {
	switch r.format {
	case Serpent:
		return r.serpent().token()
	case JSON:
		return r.json().token(), nil
	default:
		return r.msgpack().token(), nil
	}
}

// OpenSequence opens a list or tuple of length elements, or of any number if length is negative. Another number of
// elements is an error of this method or of a later Next.
func (r *Reader) OpenSequence(length int, label string) (Container, error) {
	c := Container{length: length}
	var err error
	switch r.format {
	case Serpent:
		c.end, err = r.serpent().openSequence(label)
	case JSON:
		c.end, err = ']', r.json().open('[', label)
	default:
		c.length, err = r.msgpack().openSequence(r.depth, length, label)
	}
	r.depth++
	return c, err
}

// OpenDict opens a dict.
func (r *Reader) OpenDict(label string) (Container, error) {
	c := Container{length: -1, end: '}'}
	var err error
	switch r.format {
	case Serpent:
		err = r.serpent().openDict(label)
	case JSON:
		err = r.json().open('{', label)
	default:
		c.length, err = r.msgpack().openDict(r.depth, label)
	}
	r.depth++
	return c, err
}

// Next moves to the next element of an open sequence. more is false at its end, which closes it.
func (r *Reader) Next(c *Container) (more bool, err error) {
	if r.format == Msgpack { // the number of elements is known and was checked
		if c.next < c.length {
			c.next++
			return true, r.msgpack().notAtEnd()
		}
		r.depth--
		return false, nil
	}
	if r.format == Serpent {
		more, err = r.serpent().next(c.next, c.end)
	} else {
		more, err = r.json().item(c.next, c.end)
	}
	switch {
	case err != nil:
		return false, err
	case more && c.next == c.length:
		return false, wrongCount(c.length, c.next+1)
	case !more && c.next < c.length:
		return false, wrongCount(c.length, c.next)
	case !more:
		r.depth--
		return false, nil
	}
	c.next++
	if r.format == Serpent {
		return true, r.at.charge()
	}
	return true, nil
}

// Key moves to the next value of an open dict and returns its key, nil for a key that is not a text. The key is valid
// until the next call. more is false at the end of the dict, which closes it.
func (r *Reader) Key(c *Container) (key []byte, more bool, err error) {
	switch r.format {
	case Serpent:
		key, more, err = r.serpent().key(c.next, r.depth)
	case JSON:
		key, more, err = r.json().key(c.next == 0)
	default:
		more = c.next < c.length
		if more {
			key, err = r.msgpack().key(r.depth)
		}
	}
	if !more {
		r.depth--
	}
	c.next++
	return key, more, err
}

// Text reads a text. It stays valid. It aliases the document if it has no escapes there.
func (r *Reader) Text(label string) ([]byte, error) {
	switch r.format {
	case Serpent:
		return r.serpent().stableText(label)
	case JSON:
		return r.json().stableText(label)
	default:
		return r.msgpack().text(label)
	}
}

// Value feeds the next value to the sink.
func (r *Reader) Value(sink object.Sink) error {
	switch r.format {
	case Serpent:
		return r.serpent().value(sink, r.depth, false)
	case JSON:
		return r.json().value(sink, r.depth)
	default:
		return r.msgpack().value(sink, r.depth, false)
	}
}

// Skip reads the next value and returns its part of the document. It is a document of the same serializer.
func (r *Reader) Skip() ([]byte, error) {
	start := r.at.pos
	if err := r.Value(Discard); err != nil {
		return nil, err
	}
	return r.at.doc[start:r.at.pos:r.at.pos], nil
}

// Sequence feeds the next value to the sink, which must be a list or tuple.
func (r *Reader) Sequence(sink object.Sink, label string) error {
	token, err := r.Peek()
	switch {
	case err != nil:
		return err
	case token != TokenSequence:
		return r.typeError(label)
	case r.format == Serpent && r.serpent().current() == '(':
		return r.serpent().parenthesis(sink, r.depth, false, true)
	}
	return r.Value(sink)
}

// Dict feeds the next value to the sink, which must be a dict or Null. A dict that has the form of bytes is read as a
// dict.
func (r *Reader) Dict(sink object.Sink, label string) error {
	token, err := r.Peek()
	switch {
	case err != nil:
		return err
	case token == TokenNull:
		return r.Value(sink)
	case token != TokenDict:
		return r.typeError(label)
	case r.format == Serpent:
		return r.serpent().brace(sink, r.depth, true)
	case r.format == JSON:
		return r.json().dict(sink, r.depth)
	}
	return r.Value(sink)
}

// End rejects data behind the last value. Comments and blanks of a text format are accepted.
func (r *Reader) End() error {
	switch r.format {
	case Serpent:
		return r.serpent().atEnd()
	case JSON:
		return r.json().atEnd()
	default:
		return r.msgpack().atEnd()
	}
}

// typeError returns the error for a value of another type than label requires.
func (r *Reader) typeError(label string) error {
	switch r.format {
	case Serpent:
		return r.serpent().typeError(label)
	case JSON:
		return r.json().typeError(label)
	default:
		return r.msgpack().typeError(label)
	}
}
