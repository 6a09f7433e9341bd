package sandbox

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/convert"
	"github.com/hearthhost/hearth/sandbox/lua"
	"github.com/hearthhost/hearth/sandbox/values"
)

// qualify returns the caller's name of a class, and arguments that fit the class. A class that the caller lacks becomes
// a RuntimeError with the name in its message.
func (s *State) qualify(class string, args []lua.Value, message string) (string, []lua.Value) {
	qualified, ok := s.className(class)
	if !ok {
		qualified, _ = s.className("RuntimeError")
		return qualified, []lua.Value{lua.String(s.cleanText(values.JoinMessage(class, message)))}
	}
	bare := qualified[strings.LastIndexByte(qualified, '.')+1:]
	if want := fixedArgs[bare]; want > 0 && len(args) != want {
		// These classes need more than a message. Their parent does not.
		qualified, _ = s.className("UnicodeError")
	}
	return qualified, args
}

// fixedArgs are the exception classes that take an exact number of arguments.
var fixedArgs = map[string]int{"UnicodeDecodeError": 5, "UnicodeEncodeError": 5, "UnicodeTranslateError": 4}

func (s *State) className(class string) (string, bool) { return s.classes().Exception(class) }

// writeRaised writes the exception for a raised value.
func (s *State) writeRaised(r *Request, raised lua.Value) (Outcome, error) {
	class, args := s.raisedParts(raised)
	return s.writeException(r, class, args)
}

// raisedParts returns the exception for any value that a script can raise.
func (s *State) raisedParts(raised lua.Value) (class string, args []lua.Value) {
	if t := raised.AsTable(); t != nil && t.Meta == s.types.Exception {
		class, args, message := s.types.ExceptionParts(t)
		return s.qualify(class, args, message)
	}
	if class, args, ok := s.receivedException(raised); ok {
		return s.qualify(class, args, "")
	}
	class, _ = s.className("RuntimeError")
	return class, []lua.Value{lua.String(s.cleanText(s.types.PlainText(raised)))}
}

// receivedException reads an exception that was an argument: a dict as Python peers send it.
func (s *State) receivedException(v lua.Value) (class string, args []lua.Value, ok bool) {
	t := v.AsTable()
	if t == nil || t.Meta != s.types.Dict || t.GetString("__exception__") != lua.True {
		return "", nil, false
	}
	class, ok = t.GetString(convert.ClassKey).AsString()
	if !ok {
		return "", nil, false
	}
	if list := t.GetString("args").AsTable(); list != nil {
		for i := 1; i <= min(list.Len(), 100); i++ {
			args = append(args, list.GetInt(i))
		}
	}
	return class[strings.LastIndexByte(class, '.')+1:], args, true
}

// writeException writes an exception dict as the result. class is bare or qualified. If the arguments cannot be sent,
// it writes a PyroError with the reason, as Pyro does.
func (s *State) writeException(r *Request, class string, args []lua.Value) (Outcome, error) {
	if qualified, ok := s.className(class); ok {
		class = qualified
	}
	if r.ResetResult != nil {
		r.ResetResult()
	}
	raised := s.describeRaised(class, args)
	err := s.encodeException(r, r.Result, class, args)
	if err == nil {
		return Outcome{Exception: true, Raised: raised}, nil
	}
	_, why, ok := s.enc.Failure(err)
	if !ok {
		return Outcome{}, err
	}
	args = s.unsendable(why, class, args)
	if class, ok = s.className("PyroError"); !ok {
		class, _ = s.className("RuntimeError")
	}
	if r.ResetResult != nil {
		r.ResetResult()
	}
	return Outcome{Exception: true, Raised: raised}, s.encodeException(r, r.Result, class, args)
}

// maxRaised limits the description of an exception in the host's log, in bytes.
const maxRaised = 4 << 10

// describeRaised returns class, message and position of an exception, for the host's log.
func (s *State) describeRaised(class string, args []lua.Value) string {
	text := class[strings.LastIndexByte(class, '.')+1:]
	if len(args) > 0 {
		text = values.JoinMessage(text, s.types.PlainText(args[0]))
	}
	text = values.Clip(s.cleanText(text), maxRaised)
	if s.errorPos != "" && !strings.Contains(text, ".lua:") {
		text += " (" + s.errorPos + ")"
	}
	return text
}

// unsendable returns the arguments of the error for an exception that cannot be sent.
func (s *State) unsendable(why, class string, args []lua.Value) []lua.Value {
	original := class
	if len(args) > 0 {
		original += ": " + s.types.PlainText(args[0])
	}
	return []lua.Value{lua.String(s.cleanText("Error serializing exception: " + why + ". Original exception: " +
		original))}
}

// maxExceptionBytes limits the texts in the arguments of an exception together, in bytes.
const maxExceptionBytes = 1 << 20

func (s *State) encodeException(r *Request, to object.Sink, class string, args []lua.Value) error {
	s.enc.Start(to, s.classes(), "the exception's args")
	// The limit is not below maxMessage: the exception may report that the result exceeds its limit. It is not above
	// maxExceptionBytes: the search for secrets in all texts takes long.
	s.enc.SetTextLimit(min(max(s.p.limits.ResultBytes, maxMessage), maxExceptionBytes))
	var trace []string
	if r.Traceback {
		trace = s.trace
	}
	return s.enc.Exception(class, args, trace)
}

// raisedError returns the error for a raised value where no reply exists.
func (s *State) raisedError(raised lua.Value) *object.Error {
	e := object.Errorf(object.CodeRaised, "%s", s.cleanText(s.types.PlainText(raised)))
	if t := raised.AsTable(); t != nil && t.Meta == s.types.Exception {
		class, _, message := s.types.ExceptionParts(t)
		e.Class, e.Msg = s.p.shown(class, maxErrorName), s.cleanText(message)
	}
	return e
}

// maxErrorName limits the part of a class name that is read for a message, in bytes.
const maxErrorName = 300

// maxMessage limits a message, in bytes.
const maxMessage = 64 << 10

// cleanText makes a message valid for every serializer and removes secrets.
func (s *State) cleanText(t string) string {
	t = s.p.services.Secrets.Redact(t, maxMessage+1)
	return values.Clip(strings.ToValidUTF8(t, "\uFFFD"), maxMessage)
}

// notice records the position where an uncaught value is raised, and the traceback if the caller may see it.
func (s *State) notice(L *lua.Thread, _ lua.Value) string {
	s.errorPos = place(L)
	if s.traced {
		s.trace = s.traceback(L)
	}
	return ""
}

// place returns file and line of the innermost running Lua function, or "" if the first levels have none.
func place(L *lua.Thread) string {
	for n := 1; n <= maxTraceLines; n++ { // 0 is the caller of place
		at, ok := L.Level(n)
		if !ok {
			break
		}
		if at.Line != 0 {
			return fmt.Sprintf("%s:%d", at.Fn.Proto().Chunk, at.Line)
		}
	}
	return ""
}

// maxTraceLines limits the lines of a traceback.
const maxTraceLines = 20

// traceback lists the running functions of the script, innermost last as in Python.
func (s *State) traceback(L *lua.Thread) []string {
	var lines []string
	for n := 1; len(lines) < maxTraceLines; n++ { // 0 is the function that makes the traceback
		at, ok := L.Level(n)
		if !ok {
			break
		}
		if at.Line == 0 {
			continue
		}
		name := at.Name
		if name == "" || name == "?" || strings.HasPrefix(name, "(") {
			name = fmt.Sprintf("function at line %d", at.Fn.Proto().Line)
		}
		lines = append(lines, fmt.Sprintf("  %s:%d: in %s\n", at.Fn.Proto().Chunk, at.Line, name))
	}
	lines = append(lines, "Lua traceback (most recent call last):\n")
	slices.Reverse(lines)
	return lines
}
