package audit

import (
	"strconv"
	"sync/atomic"

	"github.com/hearthhost/hearth/object"
)

// CallerCache holds the rendered caller of a connection's records: its fields do not change between calls. The zero
// value is empty. It is safe for concurrent use. It compares the caller of each record, so that a record cannot have
// the fields of another caller.
type CallerCache struct {
	last atomic.Pointer[renderedCaller]
}

// renderedCaller is a caller and its fields as text. It does not change.
type renderedCaller struct {
	caller object.Caller
	fields []byte
}

// append appends the fields of a caller, and renders them if the cache has another one.
func (c *CallerCache) append(b []byte, caller *object.Caller) []byte {
	r := c.last.Load()
	if r == nil || r.caller != *caller {
		r = &renderedCaller{caller: *caller, fields: appendCaller(nil, caller)}
		c.last.Store(r)
	}
	return append(b, r.fields...)
}

// appendCaller appends the fields of a caller.
func appendCaller(b []byte, c *object.Caller) []byte {
	b = appendField(b, "principal", string(c.Principal))
	b = appendField(b, "auth", c.Peer.Auth)
	b = appendField(b, "channel", c.Peer.Channel)
	b = appendField(b, "peer", c.Peer.Addr)
	if c.Peer.Auth == object.AuthPeer {
		b = append(b, `,"uid":`...)
		b = strconv.AppendUint(b, uint64(c.Peer.UID), 10)
	}
	b = appendField(b, "key", c.Peer.Key)
	if c.Peer.Cert != nil {
		b = appendField(b, "cert", c.Peer.Cert.SHA256)
	}
	return b
}
