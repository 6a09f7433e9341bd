package codec

import (
	"encoding/binary"
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/hearthhost/hearth/object"
)

// msgpackReader is a position in one document. It compares every announced length with the remaining bytes before it
// allocates.
type msgpackReader struct{ source }

func newMsgpackReader(doc []byte, lim Limits) msgpackReader {
	return msgpackReader{newSource(doc, lim)}
}

func isMsgpackArray(c byte) bool { return c&0xf0 == 0x90 || c == 0xdc || c == 0xdd }
func isMsgpackMap(c byte) bool   { return c&0xf0 == 0x80 || c == 0xde || c == 0xdf }
func isMsgpackText(c byte) bool  { return c&0xe0 == 0xa0 || c >= 0xd9 && c <= 0xdb }

// peek returns the type byte of the next value. At the end it returns 0xc1, which is no type.
func (r *msgpackReader) peek() byte {
	if r.pos >= len(r.doc) {
		return 0xc1
	}
	return r.doc[r.pos]
}

// uint reads a big endian number of size bytes.
func (r *msgpackReader) uint(size int) (uint64, error) {
	if len(r.doc)-r.pos < size {
		return 0, r.truncated()
	}
	b := r.doc[r.pos : r.pos+size]
	r.pos += size
	switch size {
	case 1:
		return uint64(b[0]), nil
	case 2:
		return uint64(binary.BigEndian.Uint16(b)), nil
	case 4:
		return uint64(binary.BigEndian.Uint32(b)), nil
	}
	return binary.BigEndian.Uint64(b), nil
}

// bytes reads n bytes; the result aliases the document.
func (r *msgpackReader) bytes(n uint64) ([]byte, error) {
	if n > uint64(len(r.doc)-r.pos) {
		return nil, r.truncated()
	}
	b := r.doc[r.pos : r.pos+int(n) : r.pos+int(n)]
	r.pos += int(n)
	return b, nil
}

// sized reads a length of size bytes and then as many bytes.
func (r *msgpackReader) sized(size int) ([]byte, error) {
	n, err := r.uint(size)
	if err != nil {
		return nil, err
	}
	return r.bytes(n)
}

// text reads a str. The error for any other value starts with label.
func (r *msgpackReader) text(label string) ([]byte, error) {
	start := r.pos
	if start == len(r.doc) {
		return nil, r.truncated()
	}
	c := r.doc[start]
	if !isMsgpackText(c) {
		return nil, r.typeError(label + " is not a text")
	}
	r.pos++
	var b []byte
	var err error
	if c <= 0xbf {
		b, err = r.bytes(uint64(c & 0x1f))
	} else {
		b, err = r.sized(1 << (c - 0xd9))
	}
	if err != nil {
		return nil, err
	}
	if !utf8.Valid(b) {
		return nil, invalid(object.ReasonValue, "text at byte %d is not valid UTF-8", start)
	}
	return b, nil
}

// open reads the header of the next array or map, which is at a depth. It returns the number of values after a check
// against the remaining bytes and the limits.
func (r *msgpackReader) open(depth int) (int, error) {
	c := r.doc[r.pos]
	r.pos++
	var n uint64
	var err error
	switch {
	case c&0xe0 == 0x80: // fixmap, fixarray
		n = uint64(c & 0x0f)
	case c&1 == 0: // 0xdc, 0xde
		n, err = r.uint(2)
	default:
		n, err = r.uint(4)
	}
	if err != nil {
		return 0, err
	}
	if isMsgpackMap(c) {
		n *= 2
	}
	if n > uint64(len(r.doc)-r.pos) {
		return 0, r.truncated()
	}
	if depth >= r.lim.Depth {
		return 0, tooDeep(r.lim.Depth)
	}
	if n > uint64(r.elements) {
		return 0, tooMany(r.lim.Elements)
	}
	r.elements -= int(n)
	return int(n), nil
}

// token returns the type of the next value.
func (r *msgpackReader) token() Token {
	switch c := r.peek(); {
	case isMsgpackText(c):
		return TokenText
	case isMsgpackArray(c):
		return TokenSequence
	case isMsgpackMap(c):
		return TokenDict
	case c == 0xc0:
		return TokenNull
	}
	return TokenOther
}

// openSequence reads the header of an array of length elements, or of any number if length is negative. It returns
// the number.
func (r *msgpackReader) openSequence(depth, length int, label string) (int, error) {
	if !isMsgpackArray(r.peek()) {
		return 0, r.typeError(label)
	}
	n, err := r.open(depth)
	if err == nil && length >= 0 && n != length {
		err = wrongCount(length, n)
	}
	return n, err
}

// openDict reads the header of a map. It returns the number of its pairs.
func (r *msgpackReader) openDict(depth int, label string) (int, error) {
	if !isMsgpackMap(r.peek()) {
		return 0, r.typeError(label)
	}
	n, err := r.open(depth)
	return n / 2, err
}

// key reads a key of a map inside depth containers. A key that is not a text is nil.
func (r *msgpackReader) key(depth int) ([]byte, error) {
	if isMsgpackText(r.peek()) {
		return r.text("key")
	}
	return nil, r.value(noSink{}, depth, true)
}

// value reads one value inside depth containers and feeds it to the sink. A key must be hashable for Python.
func (r *msgpackReader) value(sink object.Sink, depth int, key bool) error {
	if r.pos == len(r.doc) {
		return r.truncated()
	}
	start := r.pos
	c := r.doc[start]
	switch {
	case c <= 0x7f || c >= 0xe0:
		r.pos++
		return sink.Int(int64(int8(c)))
	case isMsgpackText(c):
		b, err := r.text("")
		if err != nil {
			return err
		}
		return sink.Text(b)
	case c <= 0x9f || c >= 0xdc:
		return r.container(sink, depth, key)
	}
	r.pos++
	switch c {
	case 0xc0:
		return sink.Null()
	case 0xc2, 0xc3:
		return sink.Bool(c == 0xc3)
	case 0xc4, 0xc5, 0xc6:
		b, err := r.sized(1 << (c - 0xc4))
		if err != nil {
			return err
		}
		return sink.Bytes(b)
	case 0xc7, 0xc8, 0xc9:
		n, err := r.uint(1 << (c - 0xc7))
		if err != nil {
			return err
		}
		return r.ext(sink, n)
	case 0xca, 0xcb, 0xcc, 0xcd, 0xce, 0xcf, 0xd0, 0xd1, 0xd2, 0xd3:
		return r.number(sink, c)
	case 0xd4, 0xd5, 0xd6, 0xd7, 0xd8:
		return r.ext(sink, 1<<(c-0xd4))
	}
	return invalid(object.ReasonValue, "byte 0x%02x at %d begins no msgpack value", c, start)
}

// container reads an array or a map.
func (r *msgpackReader) container(sink object.Sink, depth int, key bool) error {
	start, kind := r.pos, object.ListKind
	if isMsgpackMap(r.doc[start]) {
		kind = object.DictKind
	}
	if key {
		return invalid(object.ReasonType, "unhashable type: '%s' (map key at byte %d)", kind, start)
	}
	n, err := r.open(depth)
	if err != nil {
		return err
	}
	if kind == object.ListKind {
		err = sink.Begin(kind, n)
	} else {
		err = sink.Begin(kind, n/2)
	}
	if err != nil {
		return err
	}
	for i := range n {
		if err := r.value(sink, depth+1, kind == object.DictKind && i%2 == 0); err != nil {
			return err
		}
	}
	return sink.End()
}

// number reads the float or integer of type byte c.
func (r *msgpackReader) number(sink object.Sink, c byte) error {
	size := 1 << (c & 3) // correct for the integers cc…cf and d0…d3
	if c < 0xcc {
		size = 4 << (c - 0xca)
	}
	u, err := r.uint(size)
	if err != nil {
		return err
	}
	switch c {
	case 0xca:
		return sink.Float(float64(math.Float32frombits(uint32(u))))
	case 0xcb:
		return sink.Float(math.Float64frombits(u))
	case 0xd0:
		return sink.Int(int64(int8(u)))
	case 0xd1:
		return sink.Int(int64(int16(u)))
	case 0xd2:
		return sink.Int(int64(int32(u)))
	case 0xcf:
		if u > math.MaxInt64 {
			return sink.BigInt(strconv.AppendUint(nil, u, 10))
		}
	}
	return sink.Int(int64(u))
}

// ext reads the code and the n bytes of an ext value.
func (r *msgpackReader) ext(sink object.Sink, n uint64) error {
	start := r.pos
	code, err := r.uint(1)
	if err != nil {
		return err
	}
	b, err := r.bytes(n)
	if err != nil {
		return err
	}
	switch {
	case code == extComplex && n == 16:
		return sink.Complex(complex(littleFloat(b), littleFloat(b[8:])))
	case code == extBigInt:
		return FeedDecimal(sink, b, r.lim.Digits, start)
	case code == extDateTime && n == 8:
		v := littleFloat(b)
		if !validDateTime(v) {
			return invalid(object.ReasonValue, "date and time at byte %d is outside years 1 to 9999", start)
		}
		return sink.DateTime(v)
	case code == extDate && (n == 8 || n == 4):
		var day int64
		if n == 8 {
			day = int64(binary.LittleEndian.Uint64(b))
		} else {
			day = int64(int32(binary.LittleEndian.Uint32(b)))
		}
		if !validDate(day) {
			return invalid(object.ReasonValue, "date at byte %d is outside years 1 to 9999", start)
		}
		return sink.Date(day)
	case code == extComplex || code == extDateTime || code == extDate:
		return invalid(object.ReasonValue, "ext value at byte %d cannot have %d bytes", start, n)
	}
	return invalid(object.ReasonValue, "invalid ext code for msgpack: %d", int8(code))
}

// atEnd rejects bytes behind the value.
func (r *msgpackReader) atEnd() error {
	if r.pos != len(r.doc) {
		return invalid(object.ReasonValue, "extra data after the value at byte %d", r.pos)
	}
	return nil
}

// notAtEnd returns an error if no byte follows.
func (r *msgpackReader) notAtEnd() error {
	if r.pos == len(r.doc) {
		return r.truncated()
	}
	return nil
}

func (r *msgpackReader) truncated() error {
	return invalid(object.ReasonValue, "incomplete msgpack data of %d bytes", len(r.doc))
}

func (r *msgpackReader) typeError(msg string) error {
	if r.pos >= len(r.doc) {
		return r.truncated()
	}
	return invalid(object.ReasonType, "%s (byte %d)", msg, r.pos)
}

func littleFloat(b []byte) float64 {
	return math.Float64frombits(binary.LittleEndian.Uint64(b))
}
