package services

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/codec/pyro"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/link"
	"github.com/hearthhost/hearth/sandbox/services"
	"github.com/hearthhost/hearth/sandbox/worker/bounded"
)

// objects calls other objects through the host. It implements [services.Objects].
type objects struct {
	calls   *hostCalls
	message atomic.Int64 // longest result that any object may return, in bytes; the host accepts frames of it
}

// Call requests the host to call another object in the name of r.From.
func (o *objects) Call(ctx context.Context, r *services.ObjectCall) error {
	payload, err := encodeObjectCall(r, link.FrameBytes(int(o.message.Load()))-maxObjectCallHead)
	if err != nil {
		return err
	}
	c := o.calls.begin(link.HostCallHead{
		Object:  r.From,
		Request: requestOf(ctx),
		Service: link.Objects,
		Op:      link.ObjectsCall,
	})
	c.frame.PutObjectCall(&link.ObjectCall{
		To:        r.To,
		Kind:      r.Kind,
		Method:    r.Method,
		Exclusive: r.Exclusive,
		Format:    pyro.ObjectCalls.Format(),
		Payload:   payload,
	})
	reply, err := o.calls.wait(ctx, c)
	if failed, ok := errors.AsType[*object.Error](err); ok {
		return remoteError(failed)
	}
	if err != nil {
		return err
	}
	return decodeObjectReply(reply, r.Result)
}

// maxObjectCallHead is room for the fields of a HostCall frame besides the payload of an object call, in bytes.
const maxObjectCallHead = 64 << 10

// encodeObjectCall returns the payload of a call, at most max bytes: object, method, arguments, keyword arguments.
func encodeObjectCall(r *services.ObjectCall, max int) ([]byte, error) {
	enc := pyro.ObjectCalls.NewEncoder(nil)
	if err := enc.Begin(object.TupleKind, 4); err != nil {
		return nil, err
	}
	if err := enc.Text([]byte(r.To)); err != nil {
		return nil, err
	}
	if err := enc.Text([]byte(r.Method)); err != nil {
		return nil, err
	}
	if err := r.Args(&bounded.Encoder{Encoder: enc, Max: max, TooLong: argumentsTooLong}); err != nil {
		return nil, err
	}
	if err := enc.End(); err != nil {
		return nil, err
	}
	doc, err := enc.Document()
	if err == nil && len(doc) > max {
		err = argumentsTooLong(max)
	}
	return doc, err
}

// argumentsTooLong is the error for the arguments of an object call of more than max bytes.
func argumentsTooLong(max int) *object.Error {
	return object.Errorf(object.CodeTooLarge,
		"limit exceeded: the arguments take more than %d bytes once they are written; not executed", max)
}

// decodeObjectReply gives the script the result of a call, or returns its exception as an error.
func decodeObjectReply(r link.ServiceReply, to object.Sink) error {
	switch r.Kind {
	case link.ObjectValue:
		return pyro.ObjectCalls.Decode(r.Payload, codec.Limits{}, to)
	case link.ObjectStream:
		return object.Errorf(object.CodeInvalid, "item streams cannot be opened through hearth.proxy")
	}
	v, err := codec.Unmarshal(pyro.ObjectCalls, r.Payload, codec.Limits{})
	if err != nil {
		return err
	}
	ex, ok := v.(*codec.Exception)
	if !ok {
		return object.Errorf(object.CodeInternal, "the exception of an object call is not an exception")
	}
	re := &services.RemoteException{Class: object.BareClass(ex.Class), Args: ex.Args, Fields: ex.Attributes}
	if len(ex.Args) > 0 {
		re.Message, _ = ex.Args[0].(string)
	}
	return re
}

// remoteError returns the exception that a script reads of a call that the host did not run to its end.
func remoteError(err *object.Error) error {
	ex := pyro.NewException(pyro.ObjectCalls.Generation(), err)
	return &services.RemoteException{Class: object.BareClass(ex.Class), Args: ex.Args, Message: err.Msg}
}
