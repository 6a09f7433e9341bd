package codec

import (
	"encoding/binary"

	"github.com/hearthhost/hearth/object"
)

// marshalReader walks one document. References are kept as offsets: where one stands,
// the value it names is read again from its first place. Reading again costs elements
// of the limit as reading does, so a small document cannot become a large value.
type marshalReader struct {
	doc      []byte
	pos      int
	lim      Limits
	elements int   // how many more values the containers may hold
	refs     []int // where value i begins; ^offset while it is not complete
	again    int   // how many references are being followed right now
}

// repeatBytes is how many bytes of a text, bytes or integer that is reached through a
// reference count as one element.
const repeatBytes = 16

func newMarshalReader(doc []byte, lim Limits) marshalReader {
	lim = lim.orDefaults()
	return marshalReader{doc: doc, lim: lim, elements: lim.Elements}
}

const marshalFlag = 0x80

func isMarshalSequence(c byte) bool { return c == '(' || c == ')' || c == '[' }

func isMarshalText(c byte) bool {
	switch c {
	case 'z', 'Z', 'a', 'A', 'u', 't':
		return true
	}
	return false
}

// peek returns the type of the next value without the flag; of a reference, that of
// the value it names.
func (r *marshalReader) peek() (byte, error) {
	if r.pos >= len(r.doc) {
		return 0, r.short()
	}
	c := r.doc[r.pos] &^ marshalFlag
	if c != 'r' {
		return c, nil
	}
	at := r.pos
	r.pos++
	to, err := r.reference()
	r.pos = at
	if err != nil {
		return 0, err
	}
	return r.doc[to] &^ marshalFlag, nil
}

// reference reads the number of a reference and returns where its value begins.
func (r *marshalReader) reference() (int, error) {
	at := r.pos - 1
	i, err := r.int32()
	if err != nil {
		return 0, err
	}
	if i < 0 || int(i) >= len(r.refs) || r.refs[i] < 0 {
		return 0, invalid("ValueError", "bad marshal data (invalid reference at byte %d)", at)
	}
	return r.refs[i], nil
}

// begin consumes the type byte of a value and gives it a number if it wants one.
// It returns the number, -1 if none.
func (r *marshalReader) begin() int {
	c := r.doc[r.pos]
	r.pos++
	if c&marshalFlag == 0 || r.again > 0 {
		return -1
	}
	switch c &^ marshalFlag {
	case 'N', 'T', 'F', 'r', '0': // Python gives these no number, whatever their flag
		return -1
	}
	if r.refs == nil {
		r.refs = make([]int, 0, 16) // as many as most calls have
	}
	r.refs = append(r.refs, ^(r.pos - 1))
	return len(r.refs) - 1
}

// close notes that the value of a number is complete.
func (r *marshalReader) close(ref int) {
	if ref >= 0 {
		r.refs[ref] = ^r.refs[ref]
	}
}

// charge takes n elements off the limit.
func (r *marshalReader) charge(n int) error {
	if n > r.elements {
		return tooMany(r.lim.Elements)
	}
	r.elements -= n
	return nil
}

// bytes reads n bytes; the result aliases the document.
func (r *marshalReader) bytes(n int) ([]byte, error) {
	if n > len(r.doc)-r.pos {
		return nil, r.short()
	}
	if r.again > 0 {
		if err := r.charge(n / repeatBytes); err != nil {
			return nil, err
		}
	}
	b := r.doc[r.pos : r.pos+n : r.pos+n]
	r.pos += n
	return b, nil
}

func (r *marshalReader) int32() (int32, error) {
	if len(r.doc)-r.pos < 4 {
		return 0, r.short()
	}
	v := int32(binary.LittleEndian.Uint32(r.doc[r.pos:]))
	r.pos += 4
	return v, nil
}

// size reads a length of four bytes.
func (r *marshalReader) size() (int, error) {
	n, err := r.int32()
	if err == nil && n < 0 {
		err = invalid("ValueError", "bad marshal data (size out of range at byte %d)", r.pos-4)
	}
	return int(n), err
}

// shortSize reads a length of one byte.
func (r *marshalReader) shortSize() (int, error) {
	if r.pos >= len(r.doc) {
		return 0, r.short()
	}
	r.pos++
	return int(r.doc[r.pos-1]), nil
}

// openSequence reads the head of the tuple or list that comes next inside depth
// containers, and returns how many values it holds, having checked that there can be as
// many, and its number for close. A reference is refused; what names it in errors.
func (r *marshalReader) openSequence(what string, depth int) (n, ref int, err error) {
	if r.pos >= len(r.doc) {
		return 0, -1, r.short()
	}
	c := r.doc[r.pos] &^ marshalFlag
	if !isMarshalSequence(c) {
		return 0, -1, r.typeError(what + " is neither a tuple nor a list")
	}
	ref = r.begin()
	n, err = r.count(c, depth)
	return n, ref, err
}

// count reads the number of values of a container of type c.
func (r *marshalReader) count(c byte, depth int) (n int, err error) {
	if c == ')' {
		n, err = r.shortSize()
	} else {
		n, err = r.size()
	}
	if err != nil {
		return 0, err
	}
	if n > len(r.doc)-r.pos {
		return 0, r.short()
	}
	if depth >= r.lim.Depth {
		return 0, tooDeep(r.lim.Depth)
	}
	return n, r.charge(n)
}

// openTuple opens a sequence that must have want values.
func (r *marshalReader) openTuple(what string, want, depth int) (ref int, err error) {
	n, ref, err := r.openSequence(what, depth)
	if err == nil && n != want {
		err = wrongCount(want, n)
	}
	return ref, err
}

// value reads one value that stands inside depth containers and feeds it to the sink.
// hash says that it must be hashable, as keys and elements of sets must.
func (r *marshalReader) value(to object.Sink, depth int, hash bool) error {
	if r.pos >= len(r.doc) {
		return r.short()
	}
	start := r.pos
	c := r.doc[start] &^ marshalFlag
	ref := r.begin()
	var err error
	switch c {
	case 'N':
		return to.Null()
	case 'T', 'F':
		return to.Bool(c == 'T')
	case 'r':
		return r.follow(to, depth, hash)
	case 'i':
		var v int32
		if v, err = r.int32(); err == nil {
			err = to.Int(int64(v))
		}
	case 'I', 'g', 'y':
		err = r.fixed(to, c)
	case 'l':
		err = r.long(to)
	case 'f':
		var v float64
		if v, err = r.floatText(); err == nil {
			err = to.Float(v)
		}
	case 'x':
		var re, im float64
		if re, err = r.floatText(); err == nil {
			if im, err = r.floatText(); err == nil {
				err = to.Complex(complex(re, im))
			}
		}
	case 'z', 'Z', 'a', 'A', 'u', 't':
		var b []byte
		if b, err = r.textBody(c); err == nil {
			err = to.Text(b)
		}
	case 's':
		var n int
		if n, err = r.size(); err == nil {
			var b []byte
			if b, err = r.bytes(n); err == nil {
				err = to.Bytes(b)
			}
		}
	case '(', ')', '[', '<', '>':
		err = r.sequence(to, c, depth, hash, start)
	case '{':
		err = r.dict(to, depth, hash, start)
	case '0':
		err = invalid("TypeError", "NULL object in marshal data at byte %d", start)
	case '.', 'S', 'c':
		err = invalid("ValueError", "bad marshal data (type code %q at byte %d is not plain data)", c, start)
	default:
		err = invalid("ValueError", "bad marshal data (unknown type code 0x%02x at byte %d)", c, start)
	}
	if err != nil {
		return err
	}
	r.close(ref)
	return nil
}

// follow reads a reference and then the value it names.
func (r *marshalReader) follow(to object.Sink, depth int, hash bool) error {
	at, err := r.reference()
	if err != nil {
		return err
	}
	back := r.pos
	r.pos = at
	r.again++
	err = r.value(to, depth, hash)
	r.again--
	r.pos = back
	return err
}

func (r *marshalReader) sequence(to object.Sink, c byte, depth int, hash bool, start int) error {
	kind := object.SetKind
	switch c {
	case '(', ')':
		kind = object.TupleKind
	case '[':
		kind = object.ListKind
	}
	if hash && (c == '[' || c == '<') {
		return unhashable(kind, start)
	}
	n, err := r.count(c, depth)
	if err != nil {
		return err
	}
	if err := to.Begin(kind, n); err != nil {
		return err
	}
	hash = hash || kind == object.SetKind
	for range n {
		if err := r.value(to, depth+1, hash); err != nil {
			return err
		}
	}
	return to.End()
}

func (r *marshalReader) dict(to object.Sink, depth int, hash bool, start int) error {
	if hash {
		return unhashable(object.DictKind, start)
	}
	if depth >= r.lim.Depth {
		return tooDeep(r.lim.Depth)
	}
	if err := to.Begin(object.DictKind, -1); err != nil {
		return err
	}
	for {
		if r.pos >= len(r.doc) {
			return r.short()
		}
		if r.doc[r.pos]&^marshalFlag == '0' {
			r.pos++
			return to.End()
		}
		if err := r.charge(2); err != nil {
			return err
		}
		if err := r.value(to, depth+1, true); err != nil {
			return err
		}
		if err := r.value(to, depth+1, false); err != nil {
			return err
		}
	}
}

func (r *marshalReader) short() error {
	return invalid("EOFError", "marshal data too short: %d bytes", len(r.doc))
}

func (r *marshalReader) typeError(msg string) error {
	return invalid("TypeError", "%s (byte %d)", msg, r.pos)
}

func unhashable(k object.Kind, at int) error {
	return invalid("TypeError", "unhashable type: '%s' (byte %d)", k, at)
}
