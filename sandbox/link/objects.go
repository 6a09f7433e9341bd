package link

import (
	"errors"

	"github.com/hearthhost/hearth/object"
)

// Kinds of a reply of ObjectsCall.
const (
	ObjectValue     byte = 0 // the payload is the result
	ObjectException byte = 1 // the payload is an exception
	ObjectStream    byte = 2 // the call opened an item stream, which the host has closed; no payload
)

// ObjectCall is the payload of [ObjectsCall]: a call of one object by another.
type ObjectCall struct {
	To        object.ID
	Kind      object.CallKind // Invoke, Get or Set
	Method    object.Method
	Exclusive bool          // the calling object has one instance, which serves no other call meanwhile
	Format    object.Format // of the payload and of the reply's
	Payload   []byte
}

// PutObjectCall appends an object call, as the last of a frame.
func (e *Encoder) PutObjectCall(c *ObjectCall) {
	e.Text(string(c.To))
	e.Byte(byte(c.Kind))
	e.Text(string(c.Method))
	e.Bool(c.Exclusive)
	e.Text(string(c.Format))
	e.Raw(c.Payload)
}

// maxMethodBytes bounds the name of a method. No longer name is callable.
const maxMethodBytes = 255

var errKind = errors.New("link: an object calls methods and attributes of others, one at a time")

// ObjectCallFields reads the fields of PutObjectCall. The payload aliases the body.
func (d *Decoder) ObjectCallFields() (c ObjectCall) {
	c.To = object.ID(d.Bounded(object.MaxIDBytes))
	c.Kind = object.CallKind(d.Byte())
	c.Method = object.Method(d.Bounded(maxMethodBytes))
	c.Exclusive = d.Bool()
	c.Format = object.Format(d.Bounded(object.MaxFormatBytes))
	c.Payload = d.Raw()
	switch c.Kind {
	case object.Invoke, object.Get, object.Set:
	default:
		d.fail(errKind)
	}
	return c
}
