// Package codec reads and writes documents in the formats serpent, json and msgpack of Pyro messages. It converts
// between bytes and [object.Sink] events and stores no values. [Append] and [Unmarshal] convert to and from Go
// values. No input is ever executed. Every decoder bounds depth, elements and digits before it allocates.
//
// A [Reader] reads a document in parts, for the layouts of calls. They are in the packages of the gateways, for example
// codec/pyro.
//
// Source: doc/wire.md "Payloads"; vectors in testdata.
package codec

import (
	"github.com/hearthhost/hearth/object"
)

// ID identifies a serializer in both protocol generations. Their numbers in message headers differ: see package pyro.
type ID uint8

// The serializers.
const (
	Serpent     ID = 1
	JSON        ID = 2
	MarshalData ID = 3 // rejections only
	Msgpack     ID = 4
	WebJSON     ID = 5 // of HTTP calls, see codec/web; no [Serializer]
)

// Limits are the bounds of a decoder. The zero value of a field means its default.
type Limits struct {
	Depth    int // nested containers; default 64
	Elements int // values in all containers together, keys included; default 1_000_000
	Digits   int // decimal digits of an integer; default 4300
}

// withDefaults replaces fields that are zero or negative by their defaults.
func (l Limits) withDefaults() Limits {
	if l.Depth <= 0 {
		l.Depth = 64
	}
	if l.Elements <= 0 {
		l.Elements = 1_000_000
	}
	if l.Digits <= 0 {
		l.Digits = 4300
	}
	return l
}

// Serializer is one payload format. All are stateless and safe for concurrent use.
//
// Decoding errors are *object.Error with CodeInvalid and a reason, or CodeTooLarge for an exceeded limit. The message
// gives the problem and its byte offset and quotes at most a few bytes of input.
type Serializer interface {
	ID() ID
	Name() string
	// Decode feeds the single value of doc to the sink.
	Decode(doc []byte, lim Limits, sink object.Sink) error
	// NewEncoder returns an encoder that appends one document to buf.
	NewEncoder(buf []byte) Encoder
}

// Encoder is a Sink that writes one document. It rejects values that the format cannot represent or a Python peer
// cannot read: CodeInvalid with ReasonType. Not safe for concurrent use.
type Encoder interface {
	object.Sink
	// Document returns the buffer given to NewEncoder or Reset with the value appended. It fails unless exactly one
	// value was written.
	Document() ([]byte, error)
	// Borrow lets the encoder reference a large value instead of copying it: one text or bytes value of at least size
	// bytes per document, if the format does not escape it. The caller must not change the value until the next Reset.
	Borrow(size int)
	// Pieces returns the document as up to three slices: prefix, borrowed bytes, suffix. The suffix is in the
	// prefix's spare capacity: do not append to the prefix.
	Pieces() ([3][]byte, error)
	// Reset starts a new document, which is appended to buf.
	Reset(buf []byte)
}

var serializers = [...]Serializer{Serpent: serpent{}, JSON: jsonFormat{}, MarshalData: marshal{}, Msgpack: msgpack{}}

// ByID returns the serializer with an id, nil for an unknown id.
func ByID(id ID) Serializer {
	if int(id) >= len(serializers) {
		return nil
	}
	return serializers[id]
}

// ByName returns the serializer called "serpent", "json" or "msgpack", nil for any other name.
func ByName(name string) Serializer {
	for _, s := range serializers {
		if s != nil && s.ID() != MarshalData && s.Name() == name {
			return s
		}
	}
	return nil
}

// Discard is a sink that discards all values. A decoder that feeds it validates a value and skips it.
var Discard object.Sink = noSink{}

type noSink struct{}

func (noSink) Null() error                  { return nil }
func (noSink) Bool(bool) error              { return nil }
func (noSink) Int(int64) error              { return nil }
func (noSink) BigInt([]byte) error          { return nil }
func (noSink) Float(float64) error          { return nil }
func (noSink) Complex(complex128) error     { return nil }
func (noSink) Text([]byte) error            { return nil }
func (noSink) Bytes([]byte) error           { return nil }
func (noSink) DateTime(float64) error       { return nil }
func (noSink) Date(int64) error             { return nil }
func (noSink) Begin(object.Kind, int) error { return nil }
func (noSink) End() error                   { return nil }
