package sandbox

import (
	"context"
	"errors"
	"github.com/hearthhost/hearth/sandbox/convert"
	"github.com/hearthhost/hearth/sandbox/values"

	"github.com/hearthhost/hearth/sandbox/lua"

	"github.com/hearthhost/hearth/object"
)

// Request is one call on an instance. The engine reads it while it runs the call and
// keeps nothing of it.
type Request struct {
	Kind      object.CallKind
	Method    object.Method   // not for Batch
	Batch     []object.Method // the methods of a batch, in order
	Caller    object.Caller
	Corr      [16]byte
	Protocol  object.Protocol
	Traceback bool // exceptions carry the script's traceback

	// Args drives the sink it is given with two values: the positional arguments, a list
	// or tuple (for Get the attribute's name, for Set name and value, for Batch a list of
	// triples of method, arguments and keyword arguments), and the keyword arguments, a
	// dict or Null. Its error comes back from Call unchanged.
	Args func(object.Sink) error
	// Own is memory that nobody writes to any more: texts among the arguments that are most
	// of it stay there and are not copied. It may be nil.
	Own []byte
	// Result takes the one value of the reply.
	Result object.Sink
	// ResetResult makes Result ready for a value again, forgetting what it was given.
	ResetResult func()
	// ClassName returns the qualified name under which the caller knows an exception
	// class, false if it knows none. nil knows the names that Python has built in.
	ClassName func(string) (string, bool)
	// BatchWrapperClass is the class of the dict that ends a batch with an exception.
	BatchWrapperClass string
}

// Outcome says what came of a call.
type Outcome struct {
	Exception bool    // Result holds an exception dict
	Raised    string  // class, message and place of the exception in Result, or of the one that ended a batch
	Stream    *Stream // not nil: the result is an item stream, and Result holds nothing
	Broken    bool    // the state is of no more use: close it
}

// Call runs one call on the instance. An exception that the script raises, or a result
// that cannot travel, is a reply like any other. An error means that there is no reply:
// CodeExhausted, CodeDeadline or CodeCanceled for a limit, CodeNotFound for a member that
// is not exposed or not of that kind, or the error of Request.Args or of the sink.
func (s *State) Call(ctx context.Context, r *Request) (out Outcome, err error) {
	defer s.recovered(&out, &err)
	if s.broken != nil {
		return Outcome{Broken: true}, s.broken
	}
	if s.self == nil {
		return Outcome{}, &object.Error{Code: object.CodeInternal, Err: errors.New("sandbox: a call without an instance")}
	}
	s.enter(ctx, r)
	if r.Kind == object.Batch {
		out, err = s.batch(r)
	} else {
		out, err = s.invoke(r)
	}
	ends := out.Stream == nil && s.def.Mode == object.PerCall && s.def.Close != nil && s.broken == nil
	if ends {
		s.meter.Pause() // close has what the call left
	}
	s.leave(&out)
	if ends {
		s.endInstance(ctx)
		out.Broken = s.broken != nil
	}
	return out, err
}

// enter makes r the running call.
func (s *State) enter(ctx context.Context, r *Request) {
	s.ctx, s.req, s.calling, s.want = ctx, r, true, r.Traceback
	s.meter.Begin(ctx, s.p.limits.Steps, s.p.limits.MaxDuration)
	s.enc.SetTextLimit(s.p.limits.ResultBytes)
	s.vm.Clear()
}

// leave ends the running call.
func (s *State) leave(out *Outcome) {
	s.ctx, s.req, s.calling, s.want, s.at, s.trace = nil, nil, false, false, "", nil
	s.meter.End()
	s.rest()
	out.Broken = s.broken != nil
}

// rest lets go of what the running call needed.
func (s *State) rest() {
	s.vm.Clear()
	s.enc.Reset()
	s.build.Reset()
}

// invoke runs one method, or reads or writes one attribute.
func (s *State) invoke(r *Request) (Outcome, error) {
	fn := s.lookup(r.Kind, r.Method)
	if fn == nil {
		return Outcome{}, errNoMember
	}
	L := s.l
	L.Push(fn.Value())
	L.Push(s.self.Value())
	if err := s.build.Read(convert.ForCall, r.Own, r.Args); err != nil {
		return Outcome{}, err
	}
	if r.Kind != object.Invoke {
		if err := s.attributeArguments(r.Kind); err != nil {
			return Outcome{}, err
		}
	}
	return s.finish(r, L.Top()-1)
}

// lookup finds the function behind a member, nil if it is not exposed or of another kind.
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

// errNoMember says no more than that: the host has told the caller what there is.
var errNoMember = &object.Error{Code: object.CodeNotFound, Class: "AttributeError", Msg: "no such method or attribute"}

// attributeArguments leaves on the stack what an accessor gets of the arguments: those
// of the message begin with the attribute's name, which the host has read already.
func (s *State) attributeArguments(kind object.CallKind) error {
	L := s.l
	want := 1
	if kind == object.Set {
		want = 2
	}
	if s.build.Pushed() != want {
		return convert.Invalid("TypeError", "reading an attribute takes its name, writing one its name and a value")
	}
	value := L.Get(-1)
	L.SetTop(2)
	if kind == object.Set {
		L.Push(value)
	}
	return nil
}

// finish runs the function on the stack with its n arguments and writes what comes of it.
func (s *State) finish(r *Request, n int) (Outcome, error) {
	raised, limit := s.run(n)
	if limit != nil {
		return Outcome{}, limit
	}
	if raised != nil {
		return s.writeRaised(r, raised.Value)
	}
	if r.Kind == object.Set {
		return Outcome{}, r.Result.Null()
	}
	if v, ok := values.Of(s.l.Get(1)).(*values.Stream); ok && s.l.Top() == 1 && !v.Sent {
		v.Sent = true
		return Outcome{Stream: &Stream{s: s, fn: v.Next}}, nil
	}
	s.enc.Start(r.Result, r.Protocol, "result")
	if err := s.enc.Results(s.l); err != nil {
		return s.writeFailure(r, err)
	}
	return Outcome{}, nil
}

// writeFailure answers with an exception that says why a result cannot be sent. A limit
// of the sink is no such reason and comes back as it is.
func (s *State) writeFailure(r *Request, err error) (Outcome, error) {
	class, msg, ok := s.enc.Failure(err)
	if !ok {
		return Outcome{}, err
	}
	return s.writeException(r, class, []lua.Value{lua.String(msg)})
}
