// Package codec reads and writes the payloads of Pyro messages in the formats serpent, json and msgpack. It converts
// between bytes and [object.Sink] events and stores no values. [Append] and [Unmarshal] convert to and from Go
// values. No input is ever executed. Every decoder bounds depth, elements and digits before it allocates.
//
// [Serializer.ScanCall] finds object and method at the head of a call without decoding the arguments. The host reads
// nothing else of a payload before the policy decision.
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

// Head is the result of [Serializer.ScanCall]. Its slices alias the scanned payload where the text has no escapes.
type Head struct {
	Object []byte
	Method []byte
	// First is the first positional argument if it is a text, else nil. It is the attribute name of __getattr__ and
	// __setattr__.
	First []byte
	// Batch holds the method of each call of a batch, in order.
	Batch [][]byte
}

// addCall appends the method of one call of a batch.
func (h *Head) addCall(method []byte) error {
	if len(h.Batch) == object.MaxBatch {
		return object.Errorf(object.CodeTooLarge,
			"limit exceeded: a batch of more than %d calls; not executed", object.MaxBatch)
	}
	h.Batch = append(h.Batch, method)
	return nil
}

// Serializer is one payload format. All are stateless and safe for concurrent use.
//
// Decoding errors are *object.Error with CodeInvalid, or CodeTooLarge for an exceeded limit. The message gives the
// problem and its byte offset and quotes at most a few bytes of input. Class is the exception of a Pyro daemon for it
// ("ValueError", "SyntaxError", …) where doc/wire.md names one.
type Serializer interface {
	ID() ID
	Name() string
	// Decode feeds the single value of doc to the sink.
	Decode(doc []byte, lim Limits, sink object.Sink) error
	// DecodeCall feeds two values of a call's payload to the sink. The first is the positional arguments: a list or
	// tuple, for a batch the list of triples. The second is the keyword arguments: a dict or Null. Object and method
	// are skipped.
	DecodeCall(doc []byte, lim Limits, sink object.Sink) error
	// ScanCall fills h from the head of a call. The keys may be in any order. It reads as little of the payload as
	// possible and does not allocate for a call without escapes. It rejects every error that a decoder rejects in
	// the scanned bytes.
	ScanCall(doc []byte, batch bool, h *Head) error
	// ScanConnect returns the object id in the payload of a CONNECT, "" without one. A payload without the key
	// "handshake" is a KeyError with the message "'handshake'", as in Pyro.
	ScanConnect(doc []byte) (objectID string, err error)
	// NewEncoder returns an encoder that appends one document to buf.
	NewEncoder(buf []byte) Encoder
}

// Encoder is a Sink that writes one document. It rejects values that the format cannot represent or a Python peer
// cannot read: CodeInvalid with Class "TypeError". Not safe for concurrent use.
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

// checkConnect returns the object id that ScanConnect found, or an error if the key "handshake" is missing.
func checkConnect(id []byte, handshake bool) (string, error) {
	if !handshake {
		return "", invalid("KeyError", "'handshake'")
	}
	return string(id), nil
}

// noSink discards all values. A decoder that feeds it validates and skips.
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
