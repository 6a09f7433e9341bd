package pyro

import (
	"encoding/binary"
	"math"
	"math/big"
	"unicode/utf8"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/object"
)

// Blob is the destination of a call whose argument stays serialized.
type Blob struct {
	Info   any // chosen by the client: nil, bool, number, text, bytes, or tuple, list or dict of these
	Object object.ID
	Method object.Method
}

// maxBlobBytes bounds the annotation of a blob.
const maxBlobBytes = 4 << 10

// Bounds of the values in the annotation of a blob. A reference counts as the values that it stands for.
const (
	maxBlobDepth  = 8
	maxBlobValues = 1000
)

// ScanBlob reads the annotation BLBI of a call: a triple of info, object id and method, in marshal. The error is what a
// Python daemon raises for a missing or a malformed one.
//
// Source: doc/wire.md "Blobs".
func ScanBlob(annotation []byte, given bool) (b Blob, err error) {
	switch {
	case !given:
		return b, invalid(object.ReasonKey, "BLBI")
	case len(annotation) > maxBlobBytes:
		return b, object.Errorf(object.CodeTooLarge, "limit exceeded: the annotation BLBI has %d bytes, at most %d "+
			"are accepted; not executed", len(annotation), maxBlobBytes)
	}
	r := marshalReader{doc: annotation, left: maxBlobValues}
	var sink codec.Builder
	if err := r.value(&sink, 0); err != nil {
		return b, err
	}
	triple, ok := sink.Value().(codec.Tuple)
	if !ok || len(triple) != 3 {
		return b, invalid(object.ReasonValue, "blob: the annotation BLBI is not a tuple of three")
	}
	id, ok := triple[1].(string)
	method, ok2 := triple[2].(string)
	if !ok || !ok2 {
		return b, invalid(object.ReasonType, "blob: object id and method in the annotation BLBI are not texts")
	}
	return Blob{Info: triple[0], Object: object.ID(id), Method: object.Method(method)}, nil
}

// DecodeBlob feeds the arguments of a call whose argument stays serialized to the sink: a list of one value, the bytes
// of the argument's document in s, and Null.
func DecodeBlob(s codec.Serializer, payload []byte, lim codec.Limits, sink object.Sink) error {
	data, err := blobData(s, payload, lim)
	if err != nil {
		return err
	}
	if err := sink.Begin(object.ListKind, 1); err != nil {
		return err
	}
	if err := sink.Bytes(data); err != nil {
		return err
	}
	if err := sink.End(); err != nil {
		return err
	}
	return sink.Null()
}

// blobData returns the document of the third part of a call's payload.
func blobData(s codec.Serializer, payload []byte, lim codec.Limits) (data []byte, err error) {
	var r codec.Reader
	l := &labels[s.ID()]
	switch s.ID() {
	case codec.MarshalData:
		return nil, errMarshal
	case codec.JSON:
		r.Reset(s.ID(), payload, lim)
		call, err := r.OpenDict(l.call)
		if err != nil {
			return nil, err
		}
		for seen := 0; ; {
			key, err := callKey(&r, &call, seen)
			if err != nil {
				return nil, err
			}
			if key == 0 {
				if err := callComplete(seen, keyParams); err != nil {
					return nil, err
				}
				return data, r.End()
			}
			seen |= key
			part, err := r.Skip()
			if err != nil {
				return nil, err
			}
			if key == keyParams {
				data = part
			}
		}
	}
	r.Reset(s.ID(), payload, lim)
	call, err := r.OpenSequence(len(keyNames), l.call)
	if err != nil {
		return nil, err
	}
	for i := 0; ; i++ {
		more, err := r.Next(&call)
		if err != nil {
			return nil, err
		}
		if !more {
			return data, r.End()
		}
		part, err := r.Skip()
		if err != nil {
			return nil, err
		}
		if 1<<i == keyParams {
			data = part
		}
	}
}

// marshalReader reads a value in Python's marshal format, reduced to data. It executes nothing and follows references
// within bounds.
type marshalReader struct {
	doc    []byte
	pos    int
	left   int   // values that may follow
	refs   []int // positions of the values that can be referred to, in order
	replay int   // references that are being followed: their values have numbers already
}

var errBlobShort = invalid(object.ReasonTruncated, "marshal data too short")

// take returns the next n bytes.
func (r *marshalReader) take(n uint32) ([]byte, error) {
	if uint64(n) > uint64(len(r.doc)-r.pos) {
		return nil, errBlobShort
	}
	part := r.doc[r.pos : r.pos+int(n)]
	r.pos += int(n)
	return part, nil
}

// number reads an unsigned integer of four bytes.
func (r *marshalReader) number() (uint32, error) {
	b, err := r.take(4)
	if err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint32(b), nil
}

// size reads a length of one byte if short is set, otherwise of four.
func (r *marshalReader) size(short bool) (uint32, error) {
	if !short {
		return r.number()
	}
	b, err := r.take(1)
	if err != nil {
		return 0, err
	}
	return uint32(b[0]), nil
}

// value reads a value.
func (r *marshalReader) value(sink object.Sink, depth int) error {
	const flag = 0x80 // Python numbers the value for later references
	if r.left--; r.left < 0 || depth > maxBlobDepth {
		return object.Errorf(object.CodeTooLarge, "blob: the annotation BLBI has too many values")
	}
	start := r.pos
	head, err := r.take(1)
	if err != nil {
		return err
	}
	code := head[0] &^ flag
	if head[0]&flag != 0 && r.replay == 0 {
		r.refs = append(r.refs, start)
	}
	switch code {
	case 'N':
		return sink.Null()
	case 'T', 'F':
		return sink.Bool(code == 'T')
	case 'i':
		n, err := r.number()
		if err != nil {
			return err
		}
		return sink.Int(int64(int32(n)))
	case 'l':
		return r.long(sink)
	case 'g':
		b, err := r.take(8)
		if err != nil {
			return err
		}
		return sink.Float(math.Float64frombits(binary.LittleEndian.Uint64(b)))
	case 's', 'z', 'Z', 'a', 'A', 'u', 't':
		return r.text(sink, code)
	case ')', '(', '[':
		return r.sequence(sink, code, depth)
	case '{':
		return r.dict(sink, depth)
	case 'r':
		return r.reference(sink, depth)
	}
	return invalid(object.ReasonValue, "blob: the annotation BLBI has a value of type %q, which is not accepted", code)
}

// text reads a text or bytes.
func (r *marshalReader) text(sink object.Sink, code byte) error {
	n, err := r.size(code == 'z' || code == 'Z')
	if err != nil {
		return err
	}
	b, err := r.take(n)
	switch {
	case err != nil:
		return err
	case code == 's':
		return sink.Bytes(b)
	case !utf8.Valid(b):
		return invalid(object.ReasonValue, "blob: a text in the annotation BLBI is not UTF-8")
	}
	return sink.Text(b)
}

// maxBlobDigits bounds the digits of an integer, of 15 bits each.
const maxBlobDigits = 100

// long reads an integer of more than 32 bits.
func (r *marshalReader) long(sink object.Sink) error {
	n, err := r.number()
	if err != nil {
		return err
	}
	digits := int64(int32(n))
	negative := digits < 0
	if negative {
		digits = -digits
	}
	if digits > maxBlobDigits {
		return object.Errorf(object.CodeTooLarge, "blob: the annotation BLBI has an integer that is too large")
	}
	b, err := r.take(uint32(2 * digits))
	if err != nil {
		return err
	}
	v := new(big.Int)
	for i := len(b) - 2; i >= 0; i -= 2 {
		v.Lsh(v, 15).Or(v, big.NewInt(int64(binary.LittleEndian.Uint16(b[i:])&0x7FFF)))
	}
	if negative {
		v.Neg(v)
	}
	if v.IsInt64() {
		return sink.Int(v.Int64())
	}
	return sink.BigInt(v.Append(nil, 10))
}

// sequence reads the elements of a tuple or a list.
func (r *marshalReader) sequence(sink object.Sink, code byte, depth int) error {
	n, err := r.size(code == ')')
	if err != nil {
		return err
	}
	if uint64(n) > uint64(len(r.doc)) {
		return errBlobShort
	}
	kind := object.TupleKind
	if code == '[' {
		kind = object.ListKind
	}
	if err := sink.Begin(kind, int(n)); err != nil {
		return err
	}
	for range n {
		if err := r.value(sink, depth+1); err != nil {
			return err
		}
	}
	return sink.End()
}

// dict reads the keys and values of a dict up to its end. Keys are texts or integers.
func (r *marshalReader) dict(sink object.Sink, depth int) error {
	if err := sink.Begin(object.DictKind, -1); err != nil {
		return err
	}
	for {
		if r.pos >= len(r.doc) {
			return errBlobShort
		}
		switch r.doc[r.pos] &^ 0x80 {
		case '0':
			r.pos++
			return sink.End()
		case ')', '(', '[', '{':
			return invalid(object.ReasonType, "blob: the annotation BLBI has a dict with a container as key")
		}
		for range 2 {
			if err := r.value(sink, depth+1); err != nil {
				return err
			}
		}
	}
}

// reference reads a value again.
func (r *marshalReader) reference(sink object.Sink, depth int) error {
	n, err := r.number()
	if err != nil {
		return err
	}
	if uint64(n) >= uint64(len(r.refs)) {
		return invalid(object.ReasonValue, "bad marshal data (invalid reference)")
	}
	end := r.pos
	r.pos = r.refs[n]
	r.replay++
	err = r.value(sink, depth+1)
	r.replay--
	r.pos = end
	return err
}
