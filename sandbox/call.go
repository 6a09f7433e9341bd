package sandbox

import (
	"context"
	"errors"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/arguments"
	"github.com/hearthhost/hearth/sandbox/convert"
	"github.com/hearthhost/hearth/sandbox/lua"
	"github.com/hearthhost/hearth/sandbox/values"
	"github.com/hearthhost/hearth/service/store"
)

// Request is one call on an instance. The engine reads it during the call and does not retain it.
type Request struct {
	Kind      object.CallKind
	Method    object.Method   // not for Batch
	Batch     []object.Method // the methods of a batch, in order
	Caller    object.Caller
	Corr      [16]byte
	Traceback bool // exceptions carry the script's traceback

	// Location is the address of the host that the caller used, in the form of a Pyro URI: that of proxies in the
	// result. "" is that of [object.ThisHost].
	Location string
	// Annotations are those of the call.
	Annotations []object.Annotation
	// Handshake writes the value that the client sent when it connected. nil: the usual one.
	Handshake func(object.Sink) error
	// Blob describes the argument, if that stays serialized.
	Blob *Blob

	// Args writes two values to a sink: the positional arguments, a list or tuple, and the keyword arguments, a dict or
	// Null. The positional arguments of Get are the attribute's name, and of Set the name and the value. Those of Batch
	// are a list of triples of method, arguments and keyword arguments. Call returns an error of Args unchanged.
	Args func(object.Sink) error
	// OwnedBuf is memory that is no longer written to. Texts among the arguments that take up most of it refer to it
	// instead of being copied. It may be nil.
	OwnedBuf []byte
	// Result receives the one value of the reply.
	Result object.Sink
	// ResetResult discards the content of Result, so that it can receive a value again.
	ResetResult func()
	// Once makes the call store its reply with its writes: the caller may send the call again. It requires Reply.
	Once bool
	// Retry makes a call of Once that raises an exception store nothing: it is executed again when it is repeated.
	Retry bool
	// Reply returns the value in Result, encoded, at most max bytes. ok is false for a longer one.
	Reply func(max int) (doc []byte, ok bool)
	// Classes has the class names of the caller. nil supports Python's most frequent exceptions.
	Classes Classes
}

// Blob describes the one argument of a call that stays serialized: the argument is bytes.
type Blob struct {
	Info   func(object.Sink) error // writes the value that the client sent with it
	Format string                  // serializer of the bytes
}

// Outcome is the result of a call.
type Outcome struct {
	Exception bool    // Result holds an exception dict
	Raised    string  // class, message and position of the exception in Result, or of the one that ended a batch
	Stream    *Stream // if not nil, the result is an item stream, and Result is empty
	Broken    bool    // the state cannot be used again: close it
	// Annotations are those of the reply, nil for an exception or an error.
	Annotations []object.Annotation
}

// Call runs one call on the instance. An exception of the script, and a result that cannot be sent, are normal replies.
// An error means that there is no reply: CodeExhausted, CodeDeadline or CodeCanceled for a limit, CodeNotFound for a
// member that is not exposed or of another kind, or the error of Request.Args or of the sink.
func (s *State) Call(ctx context.Context, r *Request) (out Outcome, err error) {
	defer s.recovered(&out, &err)
	if s.broken != nil {
		return Outcome{Broken: true}, s.broken
	}
	if s.self == nil {
		return Outcome{}, &object.Error{Code: object.CodeInternal,
			Err: errors.New("sandbox: a call without an instance")}
	}
	if mode := s.p.Mode(); r.Once && mode != object.Single && mode != object.Keyed {
		return Outcome{}, errNotOnce
	}
	s.enter(ctx, r)
	if r.Kind == object.Batch {
		out, err = s.batch(r)
	} else {
		out, err = s.invoke(r)
	}
	out, err = s.commit(out, err)
	ends := out.Stream == nil && s.def.Mode == object.PerCall && s.def.Close != nil && s.broken == nil
	if ends {
		s.meter.Pause() // close continues the budget of the call
	}
	s.leave(&out)
	if ends {
		s.endInstance(ctx)
		out.Broken = s.broken != nil
	}
	return out, err
}

// commit makes the writes of a call durable, before its result may leave the object. The writes of a call that failed
// are dropped.
func (s *State) commit(out Outcome, err error) (Outcome, error) {
	if err != nil || out.Exception {
		s.durable.Discard()
	}
	if err != nil {
		return out, err
	}
	if s.req.Once {
		if out.Stream != nil {
			s.durable.Discard()
			return Outcome{}, object.Errorf(object.CodeInvalid,
				"a call with an idempotency key cannot return an item stream; it was executed in part")
		}
		if !out.Exception || !s.req.Retry {
			s.answer(&out)
		}
	}
	if err := s.flush(); err != nil {
		return Outcome{}, err
	}
	return out, nil
}

// answer adds the reply of the running call to its writes.
func (s *State) answer(out *Outcome) {
	a := &store.Answer{State: store.Done, Exception: out.Exception}
	var ok bool
	if a.Payload, ok = s.req.Reply(store.MaxAnswer); !ok {
		a.State, a.Payload = store.Dropped, nil
	}
	s.durable.Answer(a)
}

// errNotOnce is the answer to a call with an idempotency key on an object of a mode without one instance.
var errNotOnce = object.Errorf(object.CodeInvalid,
	"an idempotency key requires an object with one instance; not executed")

// enter makes r the running call.
func (s *State) enter(ctx context.Context, r *Request) {
	s.ctx = ctx
	s.req = r
	s.calling = true
	s.traced = r.Traceback
	s.meter.Begin(ctx, s.p.limits.Steps, s.p.limits.MaxDuration)
	s.enc.SetTextLimit(s.p.limits.ResultBytes)
	s.enc.SetLocation(r.Location)
	s.annotations = nil
	s.vm.Clear()
	s.durable.Begin()
}

// leave ends the running call.
func (s *State) leave(out *Outcome) {
	s.ctx = nil
	s.req = nil
	s.calling = false
	s.traced = false
	s.errorPos = ""
	s.trace = nil
	s.meter.End()
	s.dropCall()
	out.Broken = s.broken != nil
	if !out.Exception && !out.Broken {
		out.Annotations = s.annotations
	}
	s.annotations = nil
}

// dropCall drops the values of the running call.
func (s *State) dropCall() {
	s.vm.Rest()
	s.enc.Reset()
	s.build.Reset()
}

// invoke calls one method, or reads or writes one attribute.
func (s *State) invoke(r *Request) (Outcome, error) {
	fn := s.lookup(r.Kind, r.Method)
	if fn == nil {
		return Outcome{}, errNoMember
	}
	L := s.l
	L.Push(fn.Value())
	L.Push(s.self.Value())
	if err := s.build.Read(convert.ForCall, r.OwnedBuf, r.Args); err != nil {
		return Outcome{}, err
	}
	b := s.p.binding(fn)
	var err error
	if r.Kind == object.Invoke {
		err = s.bind(b, s.build.Keywords())
	} else {
		err = s.attributeArguments(b, r.Kind)
	}
	if m, ok := errors.AsType[arguments.Mismatch](err); ok { // the method has not run
		return Outcome{}, &object.Error{Code: object.CodeInvalid, Reason: object.ReasonType,
			Msg: s.exceptions.Clean(string(r.Method) + ": " + string(m))}
	} else if err != nil {
		return Outcome{}, err
	}
	return s.finish(r, b, L.Top()-1)
}

// bind binds the arguments on the stack, after the function and the instance. b is nil for a native function. The error
// is an [arguments.Mismatch] or that of a limit.
func (s *State) bind(b *arguments.Binding, keywords *lua.Table) error {
	if b != nil {
		return b.Bind(s.binder, s.l, 2, keywords)
	}
	if keywords != nil {
		s.l.Push(keywords.Value())
	}
	return nil
}

// lookup returns the function of a member, or nil if the member is not exposed or of another kind.
func (s *State) lookup(kind object.CallKind, name object.Method) *lua.Function {
	m := s.def.Members[name]
	if m == nil {
		return nil
	}
	switch kind {
	case object.Invoke, object.Batch:
		return m.Method
	case object.Get:
		return m.Get
	case object.Set:
		return m.Set
	}
	return nil
}

// errNoMember has no details, because the host has already listed the members to the caller.
var errNoMember = &object.Error{
	Code:   object.CodeNotFound,
	Reason: object.ReasonMember,
	Msg:    "no such method or attribute",
}

// attributeArguments removes the attribute's name from the arguments on the stack, and checks the value. The host has
// already read the name.
func (s *State) attributeArguments(b *arguments.Binding, kind object.CallKind) error {
	L := s.l
	want := 1
	if kind == object.Set {
		want = 2
	}
	if s.build.Arguments() != want || s.build.Keywords() != nil {
		return convert.Invalid(object.ReasonType,
			"reading an attribute takes its name, writing one its name and a value")
	}
	value := L.Get(-1)
	L.SetTop(2)
	if kind == object.Set {
		L.Push(value)
		if b != nil {
			return b.CheckValue(s.binder, value)
		}
	}
	return nil
}

// finish calls the function on the stack with its n arguments and writes its result. b is its binding, nil for a native
// function.
func (s *State) finish(r *Request, b *arguments.Binding, n int) (Outcome, error) {
	s.last = r.Kind == object.Invoke && !r.Once // the reply of Once is in the batch of the writes
	raised, limit := s.run(n)
	s.last = false
	if limit != nil {
		return Outcome{}, limit
	}
	if raised != nil {
		return s.writeRaised(r, raised.Value)
	}
	if s.durable.Deferred() {
		sum, raised, failed := s.durable.FlushDeferred(s.ctx)
		switch {
		case failed != nil:
			s.broken = failed
			return Outcome{}, failed
		case raised != nil:
			return s.writeException(r, raised.Class, []lua.Value{lua.String(raised.Msg)})
		}
		s.l.SetTop(0)
		s.l.Push(lua.Number(float64(sum)))
	}
	if r.Kind == object.Set {
		return Outcome{}, r.Result.Null()
	}
	if v, ok := values.Of(s.l.Get(1)).(*values.Stream); ok && s.l.Top() == 1 && !v.Sent {
		v.Sent = true
		return Outcome{Stream: &Stream{s: s, fn: v.Next, b: b}}, nil
	}
	if b != nil {
		b.Floats(s.types, s.l)
	}
	s.enc.Start(r.Result, s.classes(), "result")
	if err := s.enc.Results(s.l); err != nil {
		return s.writeFailure(r, err)
	}
	return Outcome{}, nil
}

// writeFailure writes an exception with the reason why a result cannot be sent. Other errors, such as a limit of the
// sink, are returned unchanged.
func (s *State) writeFailure(r *Request, err error) (Outcome, error) {
	class, msg, ok := s.enc.Failure(err)
	if !ok {
		return Outcome{}, err
	}
	return s.writeException(r, class, []lua.Value{lua.String(msg)})
}
