package sandbox

import (
	"context"
	"github.com/hearthhost/hearth/sandbox/convert"

	"github.com/hearthhost/hearth/object"
)

// Handover calls the instance's handover, if it has one, and writes what that returns as
// one value: the state that the init of the next version gets, as an argument that came
// over the wire would look. It ends the instance, without calling its close. ok is false
// if there is no instance, or nothing that it would hand over.
//
// A state that a limit has broken is asked too: what its instance still holds is all there
// is, and handover has a budget of its own. It is CodeRaised if handover raised an error,
// CodeInvalid if what it returned cannot travel, or the code of a limit.
func (s *State) Handover(ctx context.Context, to object.Sink) (ok bool, err error) {
	if s.vm == nil || s.self == nil || s.def.Handover == nil || !s.mend() {
		return false, nil
	}
	defer s.recovered(nil, &err)
	leave := s.enterHook(ctx, s.def.Handover)
	defer func() {
		leave()
		s.self = nil
	}()
	raised, limit := s.run(1)
	if limit != nil {
		return false, limit
	}
	if raised != nil {
		return false, s.raisedError(raised.Value)
	}
	s.enc.SetTextLimit(s.p.limits.ResultBytes)
	s.enc.Start(to, object.Pyro5, "state")
	if err := s.enc.Results(s.l); err != nil {
		if class, msg, ok := s.enc.Failure(err); ok {
			return false, convert.Invalid(class, "%s", msg)
		}
		return false, err
	}
	return true, nil
}

// mend makes a state usable once more that a limit broke. What broke it may be a fault of
// the VM or of ours: nothing runs after that.
func (s *State) mend() bool {
	if s.broken == nil {
		return true
	}
	switch s.broken.Code {
	case object.CodeExhausted, object.CodeDeadline, object.CodeCanceled:
		s.broken = nil
		s.meter.SetErr(nil)
		s.vm.Revive()
		return true
	default:
		return false
	}
}

// Inheritable reports why a state that was handed over, which value writes, cannot be the
// argument of an init; nil if it can. It is asked by who called Handover.
func (s *State) Inheritable(value func(object.Sink) error) error {
	s.build.Start(convert.ForValues, nil)
	defer s.build.Reset()
	if err := value(s.build); err != nil {
		return err
	}
	return s.build.Finish()
}

// pushInherited lays the state that was handed over behind the instance on the stack.
func (s *State) pushInherited(value func(object.Sink) error) error {
	s.build.Start(convert.ForCall, nil)
	b := s.build
	if err := b.Begin(object.TupleKind, 1); err != nil {
		return err
	}
	if err := value(b); err != nil {
		return err
	}
	if err := b.End(); err != nil {
		return err
	}
	if err := b.Null(); err != nil { // no keyword arguments
		return err
	}
	return b.Finish()
}
