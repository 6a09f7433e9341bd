package pyro

import (
	"errors"

	"github.com/hearthhost/hearth/codec/pyro"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/wire"
)

// messageBytes returns the bound on a message and on its inflated payload. The called object is not known before the
// message is read. Anonymous peers have the default bound.
func (c *conn) messageBytes() int {
	if c.peer.Caller.Principal == object.Anonymous {
		return object.DefaultMessageBytes
	}
	return c.s.snapshot().Policy.MessageBytes()
}

// plain returns a message's payload, inflated if it is compressed. If the call is denied, the result may be incomplete:
// then truncated is set.
func (c *conn) plain(m *wire.Message) ([]byte, error) {
	c.truncated = false
	out, err := c.inflate(m, c.messageBytes())
	if errors.Is(err, errHeadOnly) {
		c.truncated = true
		return nil, nil
	}
	return out, err
}

// inflate returns the payload with a bound on the inflated bytes.
func (c *conn) inflate(m *wire.Message, max int) ([]byte, error) {
	if m.Flags&wire.Compressed == 0 {
		return m.Payload, nil
	}
	c.packed = m
	out, err := wire.InflateGuarded(c.inflated[:0], m.Payload, max, (*guard)(c))
	if err != nil {
		return nil, err
	}
	c.inflated = out
	return out, nil
}

// errHeadOnly ends an inflation after the head of the payload.
var errHeadOnly = errors.New("the rest is not needed")

// guard limits the inflation of a connection's message. It counts memory before it is allocated, and it stops the
// inflation of the arguments of a denied call.
type guard conn

// Grow implements [wire.Guard].
func (g *guard) Grow(n int) error {
	if err := g.held.Add(n); err != nil {
		return g.s.shares.Exhausted(err)
	}
	return nil
}

// Head implements [wire.Guard]. It fills the connection's head if it returns errHeadOnly.
func (g *guard) Head(head []byte) error {
	c := (*conn)(g)
	if !c.known { // this is the handshake
		return nil
	}
	if c.packed.Flags&wire.KeepSerialized != 0 {
		return c.blobHead()
	}
	batch := c.packed.Flags&wire.Batch != 0
	h := &c.head
	h.Object, h.Method, h.First, h.Batch = nil, nil, nil, nil
	// The rest is missing, so an error is likely. The names before it are valid.
	ser := pyro.Serializer(c.packed.Protocol, c.packed.Serializer)
	_ = pyro.ScanCall(ser, head, batch, h)
	id := object.ID(h.Object)
	attribute := string(h.Method) == "__getattr__" || string(h.Method) == "__setattr__"
	switch {
	case h.Object == nil, h.Method == nil, !batch && attribute && h.First == nil:
		return nil // not decidable yet
	case c.isBuiltin(id):
		return errHeadOnly
	}
	snap := c.s.snapshot()
	if batch {
		h.Batch = nil
		if snap.Policy.Visible(c.peer.Caller, id) {
			return nil
		}
		return errHeadOnly
	}
	call := object.Call{ID: id, Caller: c.peer.Caller}
	setMethod(&call, h)
	if snap.Permits(&call) {
		return nil
	}
	return errHeadOnly
}

// blobHead is Head for a call whose argument stays serialized: an annotation names object and method. scan returns the
// error of an annotation that it cannot read.
func (c *conn) blobHead() error {
	call := object.Call{Caller: c.peer.Caller}
	if scanBlob(c.packed, &call) != nil || c.isBuiltin(call.ID) || !c.s.snapshot().Permits(&call) {
		return errHeadOnly
	}
	return nil
}

// isBuiltin reports whether an object is one of the host's own.
func (c *conn) isBuiltin(id object.ID) bool {
	to, _ := c.s.snapshot().Routes.Lookup(id)
	return to.Builtin != nil
}
