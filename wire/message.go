package wire

// Type is the kind of a message. Both generations use the same numbers.
type Type uint8

// The message types.
const (
	Connect     Type = 1 // first message of a client
	ConnectOK   Type = 2 // accepted
	ConnectFail Type = 3 // rejected; the server then closes the connection
	Invoke      Type = 4 // a call
	Result      Type = 5 // reply to a call, also an error
	Ping        Type = 6 // liveness check, in both directions
)

// Flags is a set of message properties, independent of the generation. The bits in headers differ between Pyro4 and
// Pyro5; [Reader] and [Append] map them. Bits without a meaning in a generation are dropped, as its peers ignore
// them.
type Flags uint16

// The flags. [Message.HasCorr] replaces the flag for a correlation id.
const (
	Exception      Flags = 1 << 0 // on Result: the payload is an exception
	Compressed     Flags = 1 << 1 // the payload is zlib data
	Oneway         Flags = 1 << 2 // on Invoke: the server sends no reply
	Batch          Flags = 1 << 3 // several calls, or their results
	MetaOnConnect  Flags = 1 << 4 // Pyro4 only: metadata requested or returned in the handshake
	ItemStream     Flags = 1 << 5 // on Result: annotation STRM names an item stream
	KeepSerialized Flags = 1 << 6 // on Invoke: a blob with its target in annotation BLBI
)

// Message is one message of either generation.
type Message struct {
	Protocol Protocol
	Type     Type
	// Serializer is the number in the header. The generations number serializers differently; Pyro5 has 8 bits.
	Serializer uint16
	Flags      Flags
	Seq        uint16
	// Corr is the correlation id. It is valid only if HasCorr is set. In Pyro4 it is the annotation CORR, which Read
	// does not add to Annotations.
	Corr    [16]byte
	HasCorr bool
	// Annotations are in received order, with duplicates.
	Annotations []Annotation
	// Payload is not inflated: it is compressed if Flags has Compressed.
	Payload []byte
}

// Annotation is a named byte string beside the payload.
type Annotation struct {
	ID    [4]byte // ASCII
	Value []byte
}

// Annotation returns the value of the last annotation with an id.
func (m *Message) Annotation(id string) ([]byte, bool) {
	for i := len(m.Annotations) - 1; i >= 0; i-- {
		if string(m.Annotations[i].ID[:]) == id {
			return m.Annotations[i].Value, true
		}
	}
	return nil, false
}

// reset clears m and keeps the memory of the annotation list.
func (m *Message) reset() {
	clear(m.Annotations)
	*m = Message{Annotations: m.Annotations[:0]}
}
