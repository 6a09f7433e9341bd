package codec

import (
	"github.com/hearthhost/hearth/object"
)

// msgpack reads and writes MessagePack as Pyro uses it: text as str, bytes as bin, and the four ext codes below. It
// has no state.
//
// Source: doc/wire.md "Payloads"; vectors in testdata/values-msgpack.jsonl.
type msgpack struct{}

// The ext codes that Pyro peers use.
const (
	extComplex  = 0x30 // two little endian doubles
	extBigInt   = 0x31 // decimal text
	extDateTime = 0x32 // little endian double, POSIX seconds
	extDate     = 0x33 // little endian day number, 8 bytes or (Windows) 4
)

// ID returns [Msgpack].
func (msgpack) ID() ID { return Msgpack }

// Name returns "msgpack".
func (msgpack) Name() string { return "msgpack" }

// Decode feeds the single value of doc to the sink. It rejects bytes behind the value.
func (msgpack) Decode(doc []byte, lim Limits, sink object.Sink) error {
	r := newMsgpackReader(doc, lim)
	if err := r.value(sink, 0, false); err != nil {
		return err
	}
	return r.atEnd()
}

// NewEncoder returns an encoder that appends one document to buf.
func (msgpack) NewEncoder(buf []byte) Encoder {
	e := &msgpackEncoder{}
	e.Reset(buf)
	return e
}
