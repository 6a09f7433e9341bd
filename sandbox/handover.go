package sandbox

import (
	"context"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/convert"
)

// Handover calls the instance's handover, if it has one, and writes the result as one value. This is the state that the
// init of the next version receives as an argument. Handover ends the instance, without calling its close. ok is false
// without an instance, or without a function handover.
//
// Handover also works after a limit has broken the state, because the instance still holds the only copy. It has a
// separate budget. The error is CodeRaised if handover raised an error, CodeInvalid if its result cannot be sent, or
// the code of a limit.
func (s *State) Handover(ctx context.Context, to object.Sink) (ok bool, err error) {
	if s.vm == nil || s.self == nil || s.def.Handover == nil || !s.revive() {
		return false, nil
	}
	defer s.recovered(nil, &err)
	leave := s.enterHook(ctx, s.def.Handover)
	defer func() {
		leave()
		s.self = nil
	}()
	raised, limit := s.run(1)
	if limit != nil { // the state is lost: it has no other copy
		return false, limit
	}
	if raised != nil {
		s.durable.Discard()
		return false, s.exceptions.Error(raised.Value)
	}
	if err := s.flush(); err != nil {
		return false, err
	}
	s.enc.SetTextLimit(s.p.limits.ResultBytes)
	s.enc.Start(to, s.p.classes, "state")
	if err := s.enc.Results(s.l); err != nil {
		if class, msg, ok := s.enc.Failure(err); ok { // a fault of the script, not of the sink
			return false, &object.Error{Code: object.CodeInvalid, Msg: msg, Class: class}
		}
		return false, err
	}
	return true, nil
}

// revive makes a state usable again that a limit has broken. It returns false after other errors, which may be faults
// of the VM.
func (s *State) revive() bool {
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

// Inheritable returns an error if a state cannot be the argument of an init. value writes the state. The caller of
// Handover must check this.
func (s *State) Inheritable(value func(object.Sink) error) error {
	s.build.Start(convert.ForValues, nil)
	defer s.build.Reset()
	if err := value(s.build); err != nil {
		return err
	}
	return s.build.Finish()
}

// pushInherited pushes the state of the previous version behind the instance on the stack.
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
