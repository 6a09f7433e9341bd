package object

import (
	"context"
	"fmt"
	"time"
)

// CallKind says what is asked of an object.
type CallKind uint8

// The kinds of call.
const (
	Invoke CallKind = 1 // a method with arguments
	Get    CallKind = 2 // read the attribute Method
	Set    CallKind = 3 // write the attribute Method
	Batch  CallKind = 4 // several methods in order, named in Batch
)

// Call is one authorised request. The host fills it; a backend does what it says and
// nothing else: whatever Payload says again about object and method is ignored.
type Call struct {
	ID     ID
	Kind   CallKind
	Method Method   // for Batch: empty
	Batch  []Method // the methods of a batch, in order; len is the number of calls
	Oneway bool     // no reply is wanted

	Caller     Caller
	Conn       uint64 // names the caller's connection: instance mode "session" is one a Conn
	Protocol   Protocol
	Serializer uint8    // the codec's own id of Payload's serializer (codec.ID)
	Corr       [16]byte // correlation id
	Traceback  bool     // the policy lets this caller see tracebacks
	Chain      []ID     // the objects through which this call came, outermost first

	// Deadline is until when the call may wait to begin; the zero time is never. A backend that knows how long
	// the call may run then answers that it was not executed; another one gives up, within a second or
	// two. Either does when its ctx is done. A context with a deadline would cost more than many a call.
	Deadline time.Time
	// Enqueued, if not nil, is called by a backend that runs calls of one object in order, at most once and without
	// delay: when the call has its place, so that every call that is made later comes after it.
	Enqueued func()

	// Payload is the inflated payload as it came. It belongs to the caller of Invoke
	// and must not be used after Invoke returned.
	Payload []byte
	// Buffer is where a backend may put the reply's payload, from Buffer[:0] on, growing
	// it as needed; nil is fine. It belongs to the backend until Invoke returns.
	Buffer []byte
}

// Reply is a backend's answer. Payload is complete, in the call's serializer.
type Reply struct {
	Payload   []byte
	Exception bool   // Payload is an exception dict
	Stream    uint64 // not 0: an item stream was opened; Payload is empty
	// Steps is how many VM instructions it took, for backends that count them. It is set
	// beside an error, too: what was refused half-way has cost as much.
	Steps uint64
}

// InstanceMode says how many instances of an object there are.
type InstanceMode string

// The instance modes.
const (
	Single  InstanceMode = "single"  // one, calls one at a time
	Session InstanceMode = "session" // one a connection
	PerCall InstanceMode = "call"    // a fresh one each call, in parallel
)

// Description is what an object exposes.
type Description struct {
	ID       ID           `json:"id"`
	Doc      string       `json:"doc,omitempty"`
	Instance InstanceMode `json:"instance"`
	Members  []Member     `json:"members"` // sorted by name
}

// Member is one exposed method or attribute.
type Member struct {
	Name   Method `json:"name"`
	Doc    string `json:"doc,omitempty"`
	Method bool   `json:"method,omitempty"` // callable
	Oneway bool   `json:"oneway,omitempty"` // callable, and clients shall not wait
	Get    bool   `json:"get,omitempty"`    // attribute, readable
	Set    bool   `json:"set,omitempty"`    // attribute, writable
}

// Backend runs calls on the objects of one tenant. All methods may be called
// concurrently.
type Backend interface {
	// Describe loads the object if need be and says what it exposes. The error's
	// message is safe to show to a caller who may call the object.
	Describe(ctx context.Context, id ID) (*Description, error)
	// Invoke runs one call. An error means that there is no reply payload: the host
	// makes the error answer from its code.
	Invoke(ctx context.Context, c *Call) (Reply, error)
	// Next asks for the next item of a stream that Invoke opened; ok is false at its
	// end. After an error, an exception or the end the stream is gone.
	Next(ctx context.Context, c *Call, stream uint64) (r Reply, ok bool, err error)
	// CloseStream ends a stream early.
	CloseStream(stream uint64)
	// EndConn frees the session instances of a connection that closed.
	EndConn(conn uint64)
}

// CorrelationText returns a correlation id as a UUID.
func CorrelationText(id [16]byte) string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
}
