package sandbox

import (
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/exception"
	"github.com/hearthhost/hearth/sandbox/lua"
)

// writeRaised writes the exception for a raised value.
func (s *State) writeRaised(r *Request, raised lua.Value) (Outcome, error) {
	return s.writeParts(r, s.exceptions.Parts(raised))
}

// writeException writes an exception dict as the result. class is bare or qualified.
func (s *State) writeException(r *Request, class string, args []lua.Value) (Outcome, error) {
	return s.writeParts(r, exception.Raised{Class: class, Args: args})
}

// writeParts writes an exception dict as the result. If the arguments cannot be sent, it writes a PyroError with the
// reason, as Pyro does.
func (s *State) writeParts(r *Request, e exception.Raised) (Outcome, error) {
	if qualified, ok := s.exceptions.Name(e.Class); ok {
		e.Class = qualified
	}
	if r.ResetResult != nil {
		r.ResetResult()
	}
	raised := s.exceptions.Describe(e.Class, e.Args, s.errorPos)
	err := s.encodeException(r, r.Result, e)
	if err == nil {
		return Outcome{Exception: true, Raised: raised}, nil
	}
	_, why, ok := s.enc.Failure(err)
	if !ok {
		return Outcome{}, err
	}
	e = exception.Raised{Args: s.exceptions.Unsendable(why, e.Class, e.Args)}
	if e.Class, ok = s.exceptions.Name("PyroError"); !ok {
		e.Class, _ = s.exceptions.Name("RuntimeError")
	}
	if r.ResetResult != nil {
		r.ResetResult()
	}
	return Outcome{Exception: true, Raised: raised}, s.encodeException(r, r.Result, e)
}

// maxExceptionBytes limits the texts in the arguments of an exception together, in bytes.
const maxExceptionBytes = 1 << 20

func (s *State) encodeException(r *Request, to object.Sink, e exception.Raised) error {
	s.enc.Start(to, s.classes(), "the exception's args")
	// The limit is not below maxMessage: the exception may report that the result exceeds its limit. It is not above
	// maxExceptionBytes: the search for secrets in all texts takes long.
	s.enc.SetTextLimit(min(max(s.p.limits.ResultBytes, exception.MaxBytes), maxExceptionBytes))
	var trace []string
	if r.Traceback {
		trace = s.trace
	}
	return s.enc.Exception(e.Class, e.Args, e.Fields, trace)
}

// notice records the position where an uncaught value is raised, and the traceback if the caller may see it.
func (s *State) notice(L *lua.Thread, _ lua.Value) string {
	s.errorPos, s.trace = exception.Origin(L, s.traced)
	return ""
}
