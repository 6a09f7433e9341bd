package link

import (
	"bytes"
	"encoding/binary"
	"errors"

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
	e.Byte(onceMode(c.Once))
	e.Text(string(c.Caller.Principal))
	e.Text(string(c.Caller.Tenant))
	e.Text(c.Caller.Peer.Auth)
	e.Text(c.Caller.Peer.Key)
	e.Text(c.Caller.Peer.Gateway)
	e.Text(c.Caller.Peer.Channel)
	e.Text(c.Caller.Peer.Addr)
	e.Uint(uint64(c.Caller.Peer.UID))
	local := ""
	if at := c.Caller.Peer.Endpoint; at != nil {
		local = at.Local
	}
	e.Text(local)
	e.putHandshake(c.Caller.Handshake)
	e.PutAnnotations(c.Annotations)
	e.Bool(c.Blob != nil)
	if c.Blob != nil {
		e.Text(string(c.Blob))
	}
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
	c.Once = d.once()
	c.Caller.Principal = object.Intern(d.Bytes(), c.Caller.Principal)
	c.Caller.Tenant = object.Intern(d.Bytes(), c.Caller.Tenant)
	c.Caller.Peer.Auth = object.Intern(d.Bytes(), c.Caller.Peer.Auth)
	c.Caller.Peer.Key = object.Intern(d.Bytes(), c.Caller.Peer.Key)
	c.Caller.Peer.Gateway = object.Intern(d.Bytes(), c.Caller.Peer.Gateway)
	c.Caller.Peer.Channel = object.Intern(d.Bytes(), c.Caller.Peer.Channel)
	c.Caller.Peer.Addr = object.Intern(d.Bytes(), c.Caller.Peer.Addr)
	c.Caller.Peer.UID = uint32(d.Uint())
	d.endpoint(&c.Caller.Peer)
	c.Caller.Handshake = d.handshake()
	c.Annotations = d.Annotations(c.Annotations[:0])
	c.Blob = nil
	if d.Bool() {
		c.Blob = d.Bytes()
	}
	c.Conn = d.Uint()
	c.Format = object.Intern(d.Bytes(), c.Format)
	d.Fixed(c.Corr[:])
	c.Chain = c.Chain[:0]
	for range d.Count() {
		c.Chain = append(c.Chain, object.ID(d.Text()))
	}
	c.Payload = d.Raw()
}

// Modes of calls that are executed at most once. The host keeps their keys.
const (
	notOnce   = 0
	onceOnly  = 1
	onceRetry = 2
)

// onceMode returns the mode of a call.
func onceMode(o *object.Once) byte {
	switch {
	case o == nil:
		return notOnce
	case o.Retry:
		return onceRetry
	}
	return onceOnly
}

// onceCall and retriedCall mark calls that are executed at most once.
var onceCall, retriedCall = object.Once{}, object.Once{Retry: true}

// once reads the mode of a call.
func (d *Decoder) once() *object.Once {
	switch d.Byte() {
	case notOnce:
		return nil
	case onceRetry:
		return &retriedCall
	}
	return &onceCall
}

// endpoint reads the address that the peer used. It keeps a former equal one.
func (d *Decoder) endpoint(p *object.Peer) {
	local := d.Bytes()
	switch {
	case len(local) == 0:
		p.Endpoint = nil
	case p.Endpoint == nil || p.Endpoint.Local != string(local):
		p.Endpoint = &object.Endpoint{Local: string(local)}
	}
}

// putHandshake appends the value of a handshake, nil for none.
func (e *Encoder) putHandshake(h *object.Handshake) {
	e.Bool(h != nil)
	if h != nil {
		e.Text(string(h.Format))
		e.Text(string(h.Data))
	}
}

// handshake reads the fields of putHandshake. The data aliases the body.
func (d *Decoder) handshake() *object.Handshake {
	if !d.Bool() {
		return nil
	}
	return &object.Handshake{Format: object.Format(d.Text()), Data: d.Bytes()}
}

// PutAnnotations appends annotations.
func (e *Encoder) PutAnnotations(list []object.Annotation) {
	e.Uint(uint64(len(list)))
	for i := range list {
		e.Text(list[i].ID)
		e.Text(string(list[i].Value))
	}
}

// Annotations reads the fields of PutAnnotations and appends them to list. The values alias the body.
func (d *Decoder) Annotations(list []object.Annotation) []object.Annotation {
	n := d.Count()
	if n > object.MaxAnnotations {
		d.fail(errShort)
		return list
	}
	for range n {
		list = append(list, object.Annotation{ID: d.Text(), Value: d.Bytes()})
	}
	return list
}

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
	e.Byte(ReplyFlags(r.Exception, len(r.Annotations) > 0))
	e.Bool(more)
	e.Uint(r.Stream)
	e.Raw(r.Payload)
	if len(r.Annotations) > 0 {
		e.B = AppendReplyAnnotations(e.B, r.Annotations)
	}
}

// ReplyFlags returns the byte of a reply's frame that shows an exception, and annotations behind the payload.
func ReplyFlags(exception, annotations bool) byte {
	var b byte
	if exception {
		b |= flagException
	}
	if annotations {
		b |= flagAnnotations
	}
	return b
}

const (
	flagException   = 1
	flagAnnotations = 2
)

// AppendReplyAnnotations appends the annotations of a reply, which come behind its payload, and their size in four
// bytes.
func AppendReplyAnnotations(b []byte, list []object.Annotation) []byte {
	e := Encoder{B: b}
	e.PutAnnotations(list)
	return binary.LittleEndian.AppendUint32(e.B, uint32(len(e.B)-len(b)))
}

// replyAnnotations reads the annotations behind the payload of a reply, and removes them from the body. They are
// copied. Those that an object cannot send are an error.
func (d *Decoder) replyAnnotations() []object.Annotation {
	const sizeBytes = 4
	end := len(d.B) - sizeBytes
	if end < 0 {
		d.fail(errShort)
		return nil
	}
	size := binary.LittleEndian.Uint32(d.B[end:])
	if uint64(size) > uint64(end) {
		d.fail(errShort)
		return nil
	}
	start := end - int(size)
	part := Decoder{B: d.B[start:end]}
	list := part.Annotations(nil)
	d.B = d.B[:start]
	if part.Err != nil || len(part.B) > 0 || object.CheckAnnotations(list) != nil {
		d.fail(errAnnotations)
		return nil
	}
	for i := range list {
		if !object.ValidAnnotation(list[i].ID) {
			d.fail(errAnnotations)
			return nil
		}
		list[i].Value = bytes.Clone(list[i].Value)
	}
	return list
}

var errAnnotations = errors.New("link: malformed annotations of a reply")

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
	flags := d.Byte()
	r.Exception = flags&flagException != 0
	more = d.Bool()
	r.Stream = d.Uint()
	if flags&flagAnnotations != 0 {
		r.Annotations = d.replyAnnotations()
	}
	r.Payload = d.Raw()
	return r, more, nil
}
