package link

import (
	"fmt"

	"github.com/hearthhost/hearth/object"
)

// Service names a service that the host offers to running objects. Numbers are fixed and only appended to.
type Service uint8

// The services. The package comment lists their ops.
const (
	Objects Service = 1 // calls of other objects
	Log     Service = 2 // lines for the host's log
	Secrets Service = 3 // values that the policy grants to an object
	Store   Service = 4 // durable state of objects
)

// MaxService is the largest number of a service.
const MaxService = 31

// String returns the name of the service.
func (s Service) String() string {
	switch s {
	case Objects:
		return "objects"
	case Log:
		return "log"
	case Secrets:
		return "secrets"
	case Store:
		return "store"
	}
	return fmt.Sprintf("service %d", uint8(s))
}

// Op is an operation of one service.
type Op uint8

// Operations, by service.
const (
	ObjectsCall Op = 1 // [ObjectCall]; the reply is a [ServiceReply] with one of the kinds below

	LogLine    Op = 1 // a line of a script, see [Encoder.PutLogLine]; no reply
	LogDropped Op = 2 // number of lines that the worker did not send; no reply
	LogFailure Op = 3 // why the request failed, as text, before its Reply; no reply
	LogLost    Op = 4 // an instance ended and its state with it: why, as text; no reply
	LogUnload  Op = 5 // an idle instance of a keyed object was unloaded; no reply

	StoreGet    Op = 1 // key; the reply is an item
	StoreList   Op = 2 // range; the reply is a page of items
	StoreCommit Op = 3 // batch; the reply is its result, after the batch is durable
	StoreSettle Op = 4 // waits for the object's commits that have begun; the reply is empty

	SecretsGrant Op = 1 // push: all secrets of one object, see [Encoder.PutSecrets]
)

// HostCallHead is the head of a [HostCall] frame: the calling object and the op. The payload of the op follows.
//
// The worker names the object and the request from which the op comes. The host checks both against its own tables and
// takes all else, such as the chain of calls and the correlation id, from there.
type HostCallHead struct {
	Object  object.ID
	Request uint64 // running request of the host; 0: init, close or handover runs, or the op concerns no call
	Service Service
	Op      Op
}

// PutHostCall appends the head of a HostCall frame. The fields of the op come next.
func (e *Encoder) PutHostCall(h HostCallHead) {
	e.Uint(h.Request)
	e.Byte(byte(h.Service))
	e.Byte(byte(h.Op))
	e.Text(string(h.Object))
}

// HostCallFields reads the fields of PutHostCall.
func (d *Decoder) HostCallFields() (h HostCallHead) {
	h.Request = d.Uint()
	h.Service = Service(d.Byte())
	h.Op = Op(d.Byte())
	h.Object = object.ID(d.Bounded(object.MaxIDBytes))
	return h
}

// PutPush appends the head of a [HostPush] frame. The fields of the op come next.
func (e *Encoder) PutPush(s Service, op Op) {
	e.Byte(byte(s))
	e.Byte(byte(op))
}

// PushFields reads the fields of PutPush.
func (d *Decoder) PushFields() (s Service, op Op) { return Service(d.Byte()), Op(d.Byte()) }

// ServiceReply is the result of one op. The op defines its kind and payload.
type ServiceReply struct {
	Kind    byte
	Payload []byte
}

// PutServiceReply appends the fields of a [HostReply] frame: a result, or an error. The payload comes last.
func (e *Encoder) PutServiceReply(r ServiceReply, err *object.Error) {
	if err != nil {
		e.Byte(byte(err.Code))
		e.Text(err.Msg)
		e.Byte(byte(err.Reason))
		e.Text(err.Class)
		return
	}
	e.Byte(byte(object.CodeOK))
	e.Byte(r.Kind)
	e.Raw(r.Payload)
}

// ServiceReplyFields reads the fields of PutServiceReply. The payload aliases the body.
func (d *Decoder) ServiceReplyFields() (r ServiceReply, err *object.Error) {
	if code := object.Code(d.Byte()); code != object.CodeOK {
		return r, d.errorFields(code)
	}
	r.Kind = d.Byte()
	r.Payload = d.Raw()
	return r, nil
}
