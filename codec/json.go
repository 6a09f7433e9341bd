package codec

import (
	"github.com/hearthhost/hearth/object"
)

// jsonFormat reads and writes JSON as Python's json module does: NaN, Infinity and -Infinity are words, and integers
// have any size. In addition, bytes are the dict {"data": "<base64>", "encoding": "base64"}, as in serpent. It has no
// state.
//
// Source: doc/wire.md "Payloads"; vectors in testdata/values-json.jsonl.
type jsonFormat struct{}

// ID returns [JSON].
func (jsonFormat) ID() ID { return JSON }

// Name returns "json".
func (jsonFormat) Name() string { return "json" }

// Decode feeds the single value of doc to the sink. It rejects data behind the value.
func (jsonFormat) Decode(doc []byte, lim Limits, sink object.Sink) error {
	r := newJSONReader(doc, lim)
	if err := r.value(sink, 0); err != nil {
		return err
	}
	return r.atEnd()
}

// NewEncoder returns an encoder that appends one document to buf.
func (jsonFormat) NewEncoder(buf []byte) Encoder {
	e := &jsonEncoder{}
	e.Reset(buf)
	return e
}
