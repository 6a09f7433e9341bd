package codec

import (
	"slices"

	"github.com/hearthhost/hearth/object"
)

// maxEncodeDepth bounds the nesting of written documents. Python's msgpack reader stops at 1024 levels.
const maxEncodeDepth = 200

// frame is an open container of an encoder.
type frame struct {
	kind  object.Kind
	hash  bool // its values must be hashable
	n     int  // announced values, -1 if unknown
	count int  // written values, keys included
	start int  // offset of the header in buf
}

// encoderBase is the common part of all encoders: the document so far and its open containers. It checks that a
// document has one value and each container its announced size. The first error is kept.
type encoderBase struct {
	buf   []byte
	open  []frame
	roots int
	err   error

	borrowMin  int    // smallest size to borrow; 0 never borrows
	borrowed   []byte // value that is not copied to buf
	borrowedAt int    // its offset in buf
}

// Reset implements [Encoder].
func (t *encoderBase) Reset(buf []byte) {
	t.buf, t.open = buf, t.open[:0]
	t.roots, t.err = 0, nil
	t.borrowed = nil
}

// Borrow implements [Encoder].
func (t *encoderBase) Borrow(size int) { t.borrowMin = size }

// appendRaw appends bytes that need no escape, or borrows them.
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

// nextIsKey reports whether the next value is a key of a dict.
func (t *encoderBase) nextIsKey() bool {
	if len(t.open) == 0 {
		return false
	}
	f := &t.open[len(t.open)-1]
	return f.kind == object.DictKind && f.count&1 == 0
}

// nextIsHashable reports whether the next value must be hashable for Python.
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
	t.roots++
	if t.roots > 1 {
		return t.fail(object.Errorf(object.CodeInternal, "more than one value in a document"))
	}
	return nil
}

// push opens a container of n elements whose header starts at start.
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
		return f, t.fail(object.Errorf(object.CodeInternal,
			"%s of %d values was announced with %d", f.kind, f.count, f.n))
	}
	if f.kind == object.DictKind && f.count&1 != 0 {
		return f, t.fail(object.Errorf(object.CodeInternal, "dict ends after a key"))
	}
	t.open = t.open[:len(t.open)-1]
	return f, nil
}

// separate counts a value and writes the separator in front of it. The separators of the text formats differ in
// blanks only.
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
