package codec

import (
	"github.com/hearthhost/hearth/object"
)

// serpent reads and writes Python literals as the serpent library does. It never evaluates input. It has no state.
//
// Two dicts are read as values: {'data': <base64>, 'encoding': 'base64'} as bytes, and {'__class__': 'float',
// 'value': <number>} as a float (nan), in either key order.
//
// Source: doc/wire.md "Payloads"; vectors in testdata/serpent-*.jsonl.
type serpent struct{}

// ID returns [Serpent].
func (serpent) ID() ID { return Serpent }

// Name returns "serpent".
func (serpent) Name() string { return "serpent" }

// Decode feeds the single value of doc to the sink. It rejects data behind the value except comments and blanks.
func (serpent) Decode(doc []byte, lim Limits, sink object.Sink) error {
	r := newSerpentReader(doc, lim)
	if err := r.value(sink, 0, false); err != nil {
		return err
	}
	return r.atEnd()
}

// NewEncoder returns an encoder that appends one document to buf.
func (serpent) NewEncoder(buf []byte) Encoder {
	e := &serpentEncoder{}
	e.Reset(buf)
	return e
}
