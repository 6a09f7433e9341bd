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

	SecretsGrant Op = 1 // push: all secrets of one object, see [Encoder.PutSecrets]
)

// Ask is the head of a [HostCall] frame: who asks, and for what. The payload of the op follows.
//
// The worker names the object and the request for which it asks. The host checks both against its own tables and
// takes all else, such as the chain of calls and the correlation id, from there.
type Ask struct {
	Object  object.ID
	Request uint64 // the running request of the host; 0: init, close or handover runs, or the log is told of no call
	Service Service
	Op      Op
}

// PutAsk appends the head of a HostCall frame. The fields of the op come next.
func (e *Encoder) PutAsk(a Ask) {
	e.Uint(a.Request)
	e.Byte(byte(a.Service))
	e.Byte(byte(a.Op))
	e.Text(string(a.Object))
}

// AskFields reads what PutAsk wrote.
func (d *Decoder) AskFields() (a Ask) {
	a.Request = d.Uint()
	a.Service = Service(d.Byte())
	a.Op = Op(d.Byte())
	a.Object = object.ID(d.Bounded(object.MaxIDBytes))
	return a
}

// PutPush appends the head of a [HostPush] frame. The fields of the op come next.
func (e *Encoder) PutPush(s Service, op Op) {
	e.Byte(byte(s))
	e.Byte(byte(op))
}

// PushFields reads what PutPush wrote.
func (d *Decoder) PushFields() (s Service, op Op) { return Service(d.Byte()), Op(d.Byte()) }

// ServiceReply is the result of one op. Its kind and payload mean what the op defines.
type ServiceReply struct {
	Kind    byte
	Payload []byte
}

// PutServiceReply appends the fields of a [HostReply] frame: a result, or an error. The payload comes last.
func (e *Encoder) PutServiceReply(r ServiceReply, err *object.Error) {
	if err != nil {
		e.Byte(byte(err.Code))
		e.Text(err.Msg)
		e.Text(err.Class)
		return
	}
	e.Byte(byte(object.CodeOK))
	e.Byte(r.Kind)
	e.Raw(r.Payload)
}

// ServiceReplyFields reads what PutServiceReply wrote. The payload aliases the body.
func (d *Decoder) ServiceReplyFields() (r ServiceReply, err *object.Error) {
	if code := object.Code(d.Byte()); code != object.CodeOK {
		return r, &object.Error{Code: code, Msg: d.Text(), Class: d.Text()}
	}
	r.Kind = d.Byte()
	r.Payload = d.Raw()
	return r, nil
}
