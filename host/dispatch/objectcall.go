package dispatch

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/hearthhost/hearth/object"
)

// MaxCallDepth bounds the depth of calls between objects.
const MaxCallDepth = 8

// ObjectCall runs a call from one object to another, authorized as the calling object: an instance of a keyed object
// calls with the principal of the object, and its address has the key. exclusive means that the calling
// object has one instance, which runs no other call meanwhile. The error names the called object: the script may pass
// the error on to its caller, and that caller would otherwise read that the calling object is missing.
func (d *Dispatcher) ObjectCall(
	ctx context.Context, from object.ID, exclusive bool, call *object.Call,
) (object.Reply, error) {
	call.Caller = object.Caller{
		Principal: from.Family().Principal(),
		Tenant:    from.Tenant(),
		Peer:      object.Peer{Channel: "object", Addr: string(from), Gateway: object.GatewayObject},
	}
	call.Chain = append(call.Chain, from)
	if len(call.Chain) > MaxCallDepth {
		return object.Reply{}, object.Errorf(object.CodeExhausted,
			"limit exceeded: objects call each other %d deep; not executed", MaxCallDepth)
	}
	r := &Request{Call: *call, Session: d.callers.session(d, from.Family()), fromObject: true}
	a, err := d.begin(ctx, r)
	if err != nil {
		return object.Reply{}, namedUnknown(err, from, call)
	}
	defer d.release(a.grant)
	w, err := d.waits.begin(&r.Call, exclusive)
	if err != nil {
		return object.Reply{}, err
	}
	defer d.waits.end(w)
	reply, backend, err := d.run(ctx, a.to, &r.Call, r.Session)
	if reply.Stream != 0 {
		backend.CloseStream(reply.Stream)
	}
	return reply, namedUnknown(err, from, call)
}

// namedUnknown returns ErrUnknown with the name of the called object and of the calling one, and other errors
// unchanged. The text is the same whether the object exists or not. A suffix that reports whether a withdrawn call was
// executed is kept.
func namedUnknown(err error, from object.ID, call *object.Call) error {
	var e *object.Error
	if !errors.Is(err, ErrUnknown) || !errors.As(err, &e) {
		return err
	}
	suffix := strings.TrimPrefix(e.Msg, ErrUnknown.Msg)
	return &object.Error{
		Code:   object.CodeNotFound,
		Reason: object.ReasonObject,
		Msg:    fmt.Sprintf("unknown object %.255q, called by %s", call.ID, from) + suffix,
	}
}

// callers holds the sessions of objects that call others. Each object has one session until the host exits. The
// zero value is empty; it is safe for concurrent use.
type callers struct {
	mu   sync.Mutex // guards byID
	byID map[object.ID]*Session
}

// session returns an object's session and makes it if needed.
func (c *callers) session(d *Dispatcher, id object.ID) *Session {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.byID[id]
	if s == nil {
		if c.byID == nil {
			c.byID = map[object.ID]*Session{}
		}
		s = d.NewSession()
		s.SetPrincipal(id.Principal())
		c.byID[id] = s
	}
	return s
}
