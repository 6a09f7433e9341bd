package wire

import (
	"github.com/hearthhost/hearth/object"
)

// Type is what a message is for. Both generations use the same numbers.
type Type uint8

// The message types.
const (
	Connect     Type = 1 // client to server, once, first
	ConnectOK   Type = 2 // accepted
	ConnectFail Type = 3 // refused; the server then closes
	Invoke      Type = 4 // a call
	Result      Type = 5 // the answer to a call, also an error
	Ping        Type = 6 // liveness, both ways
)

// Flags is a set of message properties, independent of the generation: the bits on the
// wire differ between Pyro4 and Pyro5 and are mapped by [Reader] and [Append]. Bits
// without meaning in a generation are dropped, as its peers ignore them.
type Flags uint16

// The flags. That a message has a correlation id is [Message.HasCorr].
const (
	Exception      Flags = 1 << 0 // on Result: the payload is an exception
	Compressed     Flags = 1 << 1 // the payload is zlib data
	Oneway         Flags = 1 << 2 // on Invoke: send no answer
	Batch          Flags = 1 << 3 // several calls, or their results
	MetaOnConnect  Flags = 1 << 4 // Pyro4 only: metadata asked for, or given, at connect
	ItemStream     Flags = 1 << 5 // on Result: annotation STRM names an item stream
	KeepSerialized Flags = 1 << 6 // on Invoke: a blob, its target in annotation BLBI
)

// Message is one message of either generation.
type Message struct {
	Protocol object.Protocol
	Type     Type
	// Serializer is the number on the wire, which means different serializers in the
	// two generations; 8 bits in Pyro5.
	Serializer uint16
	Flags      Flags
	Seq        uint16
	// Corr is the correlation id; it counts only if HasCorr is set. Pyro4 carries it as
	// annotation CORR, which therefore never stands in Annotations after a Read.
	Corr    [16]byte
	HasCorr bool
	// Annotations are in the order of the wire, duplicates included.
	Annotations []Annotation
	// Payload is as on the wire: compressed if Flags say so.
	Payload []byte
}

// Annotation is a named byte string that travels beside the payload.
type Annotation struct {
	ID    [4]byte // ASCII
	Value []byte
}

// Annotation returns the value of the annotation called id, and whether there is one.
// If the id occurs twice the last one counts.
func (m *Message) Annotation(id string) ([]byte, bool) {
	for i := len(m.Annotations) - 1; i >= 0; i-- {
		if string(m.Annotations[i].ID[:]) == id {
			return m.Annotations[i].Value, true
		}
	}
	return nil, false
}

// reset empties m, keeping only the memory of the annotation list.
func (m *Message) reset() {
	clear(m.Annotations)
	*m = Message{Annotations: m.Annotations[:0]}
}
