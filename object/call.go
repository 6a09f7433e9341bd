package object

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"
)

// CallKind is the operation of a call.
type CallKind uint8

// The kinds of call.
const (
	Invoke CallKind = 1 // a method with arguments
	Get    CallKind = 2 // read the attribute Method
	Set    CallKind = 3 // write the attribute Method
	Batch  CallKind = 4 // several methods in order, named in Batch
)

// Format names the encoding of a call's payload and of its reply, for example "pyro5/serpent". It also determines how
// the client calls its exception classes. A gateway sets the format, and the backend that decodes the payload
// interprets it. The host only passes it on. The part before the slash names the clients' protocol.
type Format string

// MaxFormatBytes bounds the length of a format.
const MaxFormatBytes = 64

// Call is one authorized request. The host fills it. A backend executes it as given and ignores the object and method
// in Payload.
type Call struct {
	ID     ID
	Kind   CallKind
	Method Method   // for Batch: empty
	Batch  []Method // the methods of a batch, in order; len is the number of calls
	Oneway bool     // the caller expects no reply

	Caller    Caller
	Conn      uint64   // id of the caller's connection: mode "session" has one instance per Conn
	Format    Format   // encoding of Payload and of the reply
	Corr      [16]byte // correlation id
	Traceback bool     // the policy permits tracebacks for this caller
	Chain     []ID     // calling objects, outermost first
	// Once, if not nil, requires that the call is executed at most once. A backend that cannot returns CodeInvalid.
	Once *Once

	// Deadline is the latest start of the call; the zero time is no deadline. After it, a backend with its own limit
	// on running time replies that the call was not executed. Another backend gives up within two seconds. Both
	// also end the call when ctx is done. A context with a deadline would cost more than a short call.
	Deadline time.Time
	// Enqueued, if not nil, is called by the backend at most once, without delay: when the call has its position among
	// the calls of its object, so that later calls run after it. A backend that runs calls in no order calls it first.
	Enqueued func()

	// Annotations are those of the client, without reserved ones. They belong to the caller of Invoke, as Payload does.
	// Calls of objects have none.
	Annotations []Annotation
	// Blob, if not nil, is the annotation of a call whose argument stays serialized: the object receives the argument's
	// document as bytes. A backend that cannot returns CodeInvalid. It belongs to the caller of Invoke.
	Blob []byte

	// Payload is the received payload, inflated. It belongs to the caller of Invoke. A backend must not use it after
	// Invoke has returned.
	Payload []byte
	// Buffer is memory for the reply's payload: a backend may append to Buffer[:0]. It belongs to the backend until
	// Invoke returns. nil is allowed.
	Buffer []byte
}

// Once identifies a call that is executed at most once: the caller may send it again. It is immutable.
type Once struct {
	Key string   // idempotency key, chosen by the caller
	Sum [32]byte // SHA-256 of the call's member, format and payload
	// New means that the caller cannot have sent the call before: a stored reply is that of another call.
	New bool
	// Retry means that a call that failed is executed again when it is repeated: only the reply of a call without an
	// exception is stored.
	Retry bool
	Keep  time.Duration // time for which the reply is stored; 0: a day
}

// NewOnce returns the identity of a call with an idempotency key. Calls are equal if their member, format and payload
// are.
func NewOnce(key string, c *Call) *Once {
	h := sha256.New()
	fmt.Fprintf(h, "%d %q %q %q\n", c.Kind, c.Method, c.Batch, c.Format)
	h.Write(c.Payload)
	h.Write(c.Blob)
	return &Once{Key: key, Sum: [32]byte(h.Sum(nil))}
}

// Reply is the reply of a backend. Payload is complete and in the call's format.
type Reply struct {
	Payload   []byte
	Owned     bool   // Payload belongs to the receiver: no buffer is reused for it
	Exception bool   // Payload is an exception dict
	Stream    uint64 // id of an opened item stream, 0 for other replies; Payload is then empty
	// Annotations are those that the object sends with the reply. They are never those of the call.
	Annotations []Annotation
	// Steps is the number of executed VM instructions, for backends that count them. It is also set with an error.
	Steps uint64
}

// InstanceMode determines the number of instances of an object.
type InstanceMode string

// The instance modes.
const (
	Single  InstanceMode = "single"  // one instance, one call at a time
	Session InstanceMode = "session" // one instance per connection
	PerCall InstanceMode = "call"    // a new instance per call, in parallel
	Keyed   InstanceMode = "keyed"   // one instance per key of the id, one call of a key at a time
)

// Backend runs calls on the objects of one tenant. All methods are safe for concurrent use.
type Backend interface {
	// Describe returns the description of an object, which it loads if necessary. The error's message is safe for a
	// caller with permission to call the object.
	//
	// The backend returns an error with CodeNotFound and ReasonObject for an id with a key of an object that is not
	// keyed, and for an id without a key of one that is. Invoke does the same.
	Describe(ctx context.Context, id ID) (*Description, error)
	// Invoke runs one call. After an error there is no reply payload: the host creates the error reply from its code.
	Invoke(ctx context.Context, c *Call) (Reply, error)
	// Next returns the next item of a stream that Invoke opened. ok is false at the end. An error, an exception or
	// the end closes the stream.
	Next(ctx context.Context, c *Call, stream uint64) (r Reply, ok bool, err error)
	// CloseStream closes a stream before its end.
	CloseStream(stream uint64)
	// EndConn frees the session instances of a connection that closed.
	EndConn(conn uint64)
}

// Starter is a Backend that can run a call without a goroutine that waits for its reply. It is for event loops: its
// methods do not block.
type Starter interface {
	Backend
	// Start begins a call and reports true, or reports false, and then the caller uses Invoke: the call was not begun.
	// c and its Payload must stay unchanged until later has run. later runs a function at the end of the loop's round:
	// the backend sends its requests then.
	//
	// done is called once, with the result of Invoke. If the backend calls it in the goroutine of a loop, on is that
	// loop, otherwise nil. The reply's payload is valid until done returns, unless it is owned. An error with
	// CodeRetired means that the call was not begun.
	Start(c *Call, later func(func()), done func(on any, r Reply, err error)) bool
	// Cancel ends a call of Start as the end of the context of Invoke does, with that context's cause.
	Cancel(c *Call, cause error)
}

// CorrelationText formats a correlation id as a UUID.
func CorrelationText(id [16]byte) string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
}
