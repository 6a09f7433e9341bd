package codec

import (
	"slices"

	"github.com/hearthhost/hearth/object"
)

// maxEncodeDepth is how deep encoders nest. Python's msgpack reader stops
// at 1024 levels and marshal's at 2000; nothing honest comes near this.
const maxEncodeDepth = 200

// frame is a container that an encoder has open.
type frame struct {
	kind  object.Kind
	hash  bool // its values must be hashable
	n     int  // values announced, -1 if not
	count int  // values written, keys included
	start int  // where its header stands in the buffer
}

// nesting is what all encoders share: the document so far, what is open in it, and that
// one document with as many elements as announced comes of it. The first error sticks.
type encoderBase struct {
	buf   []byte
	open  []frame
	roots int
	err   error

	borrowMin  int    // see Borrow; 0 if nothing is
	borrowed   []byte // not in buf, where it belongs at:
	borrowedAt int
}

// Reset implements [Encoder].
func (t *encoderBase) Reset(buf []byte) {
	t.buf, t.open, t.roots, t.err = buf, t.open[:0], 0, nil
	t.borrowed = nil
}

// Borrow implements [Encoder].
func (t *encoderBase) Borrow(size int) { t.borrowMin = size }

// raw appends what needs no escaping.
func (t *encoderBase) appendRaw(v []byte) {
	if t.borrowMin > 0 && len(v) >= t.borrowMin && t.borrowed == nil {
		t.borrowed, t.borrowedAt = v, len(t.buf)
		return
	}
	t.buf = append(t.buf, v...)
}

func (t *encoderBase) fail(err error) error {
	t.err = err
	return err
}

// atKey reports whether the next value is a key of a dict.
func (t *encoderBase) nextIsKey() bool {
	if len(t.open) == 0 {
		return false
	}
	f := &t.open[len(t.open)-1]
	return f.kind == object.DictKind && f.count&1 == 0
}

// atHashable reports whether the next value must be hashable for Python.
func (t *encoderBase) nextIsHashable() bool {
	if len(t.open) == 0 {
		return false
	}
	f := &t.open[len(t.open)-1]
	return f.hash || f.kind == object.DictKind && f.count&1 == 0
}

// add counts one value.
func (t *encoderBase) add() error {
	if t.err != nil {
		return t.err
	}
	if len(t.open) > 0 {
		t.open[len(t.open)-1].count++
		return nil
	}
	if t.roots++; t.roots > 1 {
		return t.fail(object.Errorf(object.CodeInternal, "more than one value in a document"))
	}
	return nil
}

// push opens a container of n elements whose header begins at start.
func (t *encoderBase) push(k object.Kind, n, start int, hash bool) error {
	if len(t.open) >= maxEncodeDepth {
		return t.fail(tooDeep(maxEncodeDepth))
	}
	if k == object.DictKind && n > 0 {
		n *= 2
	}
	t.open = append(t.open, frame{kind: k, hash: hash, n: n, start: start})
	return nil
}

// pop closes the container that was opened last.
func (t *encoderBase) pop() (frame, error) {
	if t.err != nil {
		return frame{}, t.err
	}
	if len(t.open) == 0 {
		return frame{}, t.fail(object.Errorf(object.CodeInternal, "end of a container that is not open"))
	}
	f := t.open[len(t.open)-1]
	if f.n >= 0 && f.count != f.n {
		return f, t.fail(object.Errorf(object.CodeInternal, "%s of %d values was announced with %d", f.kind, f.count, f.n))
	}
	if f.kind == object.DictKind && f.count&1 != 0 {
		return f, t.fail(object.Errorf(object.CodeInternal, "dict ends after a key"))
	}
	t.open = t.open[:len(t.open)-1]
	return f, nil
}

// separate counts a value and writes what separates it from the one before: the formats
// that are text differ in blanks only.
func (t *encoderBase) separate(comma, colon string) error {
	if err := t.add(); err != nil {
		return err
	}
	if len(t.open) == 0 {
		return nil
	}
	switch f := &t.open[len(t.open)-1]; {
	case f.count == 1:
	case f.kind == object.DictKind && f.count&1 == 0:
		t.buf = append(t.buf, colon...)
	default:
		t.buf = append(t.buf, comma...)
	}
	return nil
}

// Document implements [Encoder].
func (t *encoderBase) Document() ([]byte, error) {
	if t.borrowed != nil {
		t.buf, t.borrowed = slices.Insert(t.buf, t.borrowedAt, t.borrowed...), nil
	}
	p, err := t.Pieces()
	return p[0], err
}

// Pieces implements [Encoder].
func (t *encoderBase) Pieces() ([3][]byte, error) {
	switch {
	case t.err != nil:
		return [3][]byte{}, t.err
	case t.roots != 1 || len(t.open) != 0:
		return [3][]byte{}, object.Errorf(object.CodeInternal, "unfinished document")
	case t.borrowed == nil:
		return [3][]byte{t.buf}, nil
	}
	return [3][]byte{t.buf[:t.borrowedAt], t.borrowed, t.buf[t.borrowedAt:]}, nil
}
