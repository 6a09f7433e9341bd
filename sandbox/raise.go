package sandbox

import (
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/exception"
	"github.com/hearthhost/hearth/sandbox/lua"
)

// writeRaised writes the exception for a raised value.
func (s *State) writeRaised(r *Request, raised lua.Value) (Outcome, error) {
	class, args := s.exceptions.Parts(raised)
	return s.writeException(r, class, args)
}

// writeException writes an exception dict as the result. class is bare or qualified. If the arguments cannot be sent,
// it writes a PyroError with the reason, as Pyro does.
func (s *State) writeException(r *Request, class string, args []lua.Value) (Outcome, error) {
	if qualified, ok := s.exceptions.Name(class); ok {
		class = qualified
	}
	if r.ResetResult != nil {
		r.ResetResult()
	}
	raised := s.exceptions.Describe(class, args, s.errorPos)
	err := s.encodeException(r, r.Result, class, args)
	if err == nil {
		return Outcome{Exception: true, Raised: raised}, nil
	}
	_, why, ok := s.enc.Failure(err)
	if !ok {
		return Outcome{}, err
	}
	args = s.exceptions.Unsendable(why, class, args)
	if class, ok = s.exceptions.Name("PyroError"); !ok {
		class, _ = s.exceptions.Name("RuntimeError")
	}
	if r.ResetResult != nil {
		r.ResetResult()
	}
	return Outcome{Exception: true, Raised: raised}, s.encodeException(r, r.Result, class, args)
}

// maxExceptionBytes limits the texts in the arguments of an exception together, in bytes.
const maxExceptionBytes = 1 << 20

func (s *State) encodeException(r *Request, to object.Sink, class string, args []lua.Value) error {
	s.enc.Start(to, s.classes(), "the exception's args")
	// The limit is not below maxMessage: the exception may report that the result exceeds its limit. It is not above
	// maxExceptionBytes: the search for secrets in all texts takes long.
	s.enc.SetTextLimit(min(max(s.p.limits.ResultBytes, exception.MaxBytes), maxExceptionBytes))
	var trace []string
	if r.Traceback {
		trace = s.trace
	}
	return s.enc.Exception(class, args, trace)
}

// notice records the position where an uncaught value is raised, and the traceback if the caller may see it.
func (s *State) notice(L *lua.Thread, _ lua.Value) string {
	s.errorPos, s.trace = exception.Origin(L, s.traced)
	return ""
}
