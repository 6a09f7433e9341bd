// Package codec reads and writes the payloads of Pyro messages: serpent, json, msgpack
// and marshal (as plain data). It converts between bytes and [object.Sink] events and
// holds no values itself; [Append] and [Unmarshal] are there for programs that want Go
// values. Nothing it reads is ever executed, and every decoder bounds depth, elements
// and digits before it allocates.
//
// [Serializer.ScanCall] finds object and method at the head of a call without decoding
// the arguments: it is all that the host reads of a payload before it decides.
//
// Source: doc/wire.md "Payloads"; vectors in testdata.
package codec

import (
	"github.com/hearthhost/hearth/object"
)

// ID numbers a serializer independently of the protocol generation, whose wire numbers
// contradict each other.
type ID uint8

// The serializers.
const (
	Serpent     ID = 1
	JSON        ID = 2
	MarshalData ID = 3
	Msgpack     ID = 4
)

// Limits bound what a decoder accepts. The zero value of each field means its default.
type Limits struct {
	Depth    int // nested containers; default 64
	Elements int // values in all containers together, keys included; default 1_000_000
	Digits   int // decimal digits of an integer; default 4300
}

// orDefaults replaces zero (and senseless) fields by their defaults.
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

// Head is what [Serializer.ScanCall] finds. Its slices alias the scanned payload where
// the text holds no escapes.
type Head struct {
	Object []byte
	Method []byte
	// First is the first positional argument if it is a text, else nil: the attribute
	// name of __getattr__ and __setattr__.
	First []byte
	// Batch is filled by a scan with batch set: the method of each call in order.
	Batch [][]byte
}

// addCall adds a call of a batch.
func (h *Head) addCall(method []byte) error {
	if len(h.Batch) == object.MaxBatch {
		return object.Errorf(object.CodeTooLarge, "limit exceeded: a batch of more than %d calls; not executed", object.MaxBatch)
	}
	h.Batch = append(h.Batch, method)
	return nil
}

// Serializer is one payload format. All are stateless and safe for concurrent use.
//
// Decoding errors are *object.Error with CodeInvalid (CodeTooLarge where a limit was
// exceeded), a message that says what is wrong at which byte offset without quoting
// more than a few bytes of input, and Class set to the exception that a Pyro daemon
// raises for it ("ValueError", "SyntaxError", …) where doc/wire.md names one.
type Serializer interface {
	ID() ID
	Name() string
	// Decode feeds the one value of doc to the sink.
	Decode(doc []byte, lim Limits, sink object.Sink) error
	// DecodeCall feeds two values of a call's payload to the sink: the positional
	// arguments (a list or tuple; for a batch the list of triples) and the keyword
	// arguments (a dict or Null). Object and method are skipped, whatever they say.
	DecodeCall(doc []byte, lim Limits, sink object.Sink) error
	// ScanCall fills h from the head of a call, whatever order the keys stand in. It
	// looks at no more of the payload than it must and allocates nothing for an
	// ordinary call. Texts must be valid; anything that a decoder would refuse in what
	// was scanned is refused here.
	ScanCall(doc []byte, batch bool, h *Head) error
	// ScanConnect returns the object id in the payload of a CONNECT, "" if it has none.
	// A payload without the key "handshake" is refused with the message "'handshake'".
	ScanConnect(doc []byte) (objectID string, err error)
	// NewEncoder returns an encoder that appends one document to buf.
	NewEncoder(buf []byte) Encoder
}

// Encoder is a Sink that writes one document. It refuses with CodeInvalid (Class
// "TypeError") what the format cannot say and a Python peer could not read back.
// Not safe for concurrent use.
type Encoder interface {
	object.Sink
	// Document returns the finished document: buf as given to NewEncoder or Reset with
	// the value appended. It is an error if not exactly one value was written.
	Document() ([]byte, error)
	// Borrow has a text or bytes of at least so many bytes stay where they are until the next
	// Reset, one in each document, if the format writes them as they are. They must not
	// change as long as that.
	Borrow(least int)
	// Pieces is Document in up to three pieces: what stands before that which was
	// borrowed, that itself, and what stands behind it. The first has all the capacity, in
	// which the last is: nothing may be appended to it as long as that is needed.
	Pieces() ([3][]byte, error)
	// Reset makes the encoder ready for another document, appended to buf.
	Reset(buf []byte)
}

var serializers = [...]Serializer{Serpent: serpent{}, JSON: jsonFormat{}, MarshalData: marshal{}, Msgpack: msgpack{}}

// ByID returns the serializer of an id, nil if there is none.
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

// connectID is the end of every ScanConnect: the object id that was found, unless the
// handshake itself was not.
func checkConnect(id []byte, handshake bool) (string, error) {
	if !handshake {
		return "", invalid("KeyError", "'handshake'")
	}
	return string(id), nil
}

// noSink takes every value and keeps none: a decoder that feeds it skips and validates.
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
