package link

import (
	"encoding/binary"

	"github.com/hearthhost/hearth/object"
)

// PutCall appends the fields of a call, for [Call] and [Next] frames. The payload comes last.
func (e *Encoder) PutCall(c *object.Call) {
	e.PutCallHead(c)
	e.Raw(c.Payload)
}

// PutCallHead is PutCall without the payload, which must come next.
func (e *Encoder) PutCallHead(c *object.Call) {
	e.Text(string(c.ID))
	e.Byte(byte(c.Kind))
	e.Text(string(c.Method))
	e.Uint(uint64(len(c.Batch)))
	for _, m := range c.Batch {
		e.Text(string(m))
	}
	e.Bool(c.Oneway)
	e.Bool(c.Traceback)
	e.Bool(c.Once != nil)
	e.Text(string(c.Caller.Principal))
	e.Text(string(c.Caller.Tenant))
	e.Text(c.Caller.Peer.Auth)
	e.Text(c.Caller.Peer.Key)
	e.Text(c.Caller.Peer.Gateway)
	e.Text(c.Caller.Peer.Channel)
	e.Text(c.Caller.Peer.Addr)
	e.Uint(uint64(c.Caller.Peer.UID))
	e.Uint(c.Conn)
	e.Text(string(c.Format))
	e.B = append(e.B, c.Corr[:]...)
	e.Uint(uint64(len(c.Chain)))
	for _, id := range c.Chain {
		e.Text(string(id))
	}
}

// CallFields reads the fields of PutCall into c. It keeps former texts of c that are equal, to save allocations.
// Payload aliases the body.
func (d *Decoder) CallFields(c *object.Call) {
	c.ID = object.Intern(d.Bytes(), c.ID)
	c.Kind = object.CallKind(d.Byte())
	c.Method = object.Intern(d.Bytes(), c.Method)
	c.Batch = c.Batch[:0]
	for range d.Count() {
		c.Batch = append(c.Batch, object.Method(d.Text()))
	}
	c.Oneway = d.Bool()
	c.Traceback = d.Bool()
	c.Once = nil
	if d.Bool() {
		c.Once = &once
	}
	c.Caller.Principal = object.Intern(d.Bytes(), c.Caller.Principal)
	c.Caller.Tenant = object.Intern(d.Bytes(), c.Caller.Tenant)
	c.Caller.Peer.Auth = object.Intern(d.Bytes(), c.Caller.Peer.Auth)
	c.Caller.Peer.Key = object.Intern(d.Bytes(), c.Caller.Peer.Key)
	c.Caller.Peer.Gateway = object.Intern(d.Bytes(), c.Caller.Peer.Gateway)
	c.Caller.Peer.Channel = object.Intern(d.Bytes(), c.Caller.Peer.Channel)
	c.Caller.Peer.Addr = object.Intern(d.Bytes(), c.Caller.Peer.Addr)
	c.Caller.Peer.UID = uint32(d.Uint())
	c.Conn = d.Uint()
	c.Format = object.Intern(d.Bytes(), c.Format)
	d.Fixed(c.Corr[:])
	c.Chain = c.Chain[:0]
	for range d.Count() {
		c.Chain = append(c.Chain, object.ID(d.Text()))
	}
	c.Payload = d.Raw()
}

// once marks a call that is executed at most once. The host keeps its key.
var once object.Once

// PutReply appends the fields of a [Reply] or [Described] frame: a reply, or an error. more is the result ok of
// [object.Backend] Next. The steps come first and take eight bytes, so that SetSteps can replace them.
func (e *Encoder) PutReply(r object.Reply, more bool, err *object.Error) {
	e.B = binary.LittleEndian.AppendUint64(e.B, r.Steps)
	if err != nil {
		e.Byte(byte(err.Code))
		e.Text(err.Msg)
		e.Byte(byte(err.Reason))
		e.Text(err.Class)
		return
	}
	e.Byte(byte(object.CodeOK))
	e.Bool(r.Exception)
	e.Bool(more)
	e.Uint(r.Stream)
	e.Raw(r.Payload)
}

// SetSteps sets the steps of a reply, in a frame of Begin and PutReply. They are known after the rest is written.
func (e *Encoder) SetSteps(n uint64) { binary.LittleEndian.PutUint64(e.B[headBytes:], n) }

// errorFields reads the fields of an error behind its code.
func (d *Decoder) errorFields(code object.Code) *object.Error {
	return &object.Error{Code: code, Msg: d.Text(), Reason: object.Reason(d.Byte()), Class: d.Text()}
}

// ReplyFields reads the fields of PutReply. Payload aliases the body. Steps is also set if err is not nil.
func (d *Decoder) ReplyFields() (r object.Reply, more bool, err *object.Error) {
	var steps [8]byte
	d.Fixed(steps[:])
	r.Steps = binary.LittleEndian.Uint64(steps[:])
	if code := object.Code(d.Byte()); code != object.CodeOK {
		return r, false, d.errorFields(code)
	}
	r.Exception = d.Bool()
	more = d.Bool()
	r.Stream = d.Uint()
	r.Payload = d.Raw()
	return r, more, nil
}
