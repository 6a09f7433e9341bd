package sandbox

import (
	"math/big"
	"slices"
	"strings"

	lua "github.com/yuin/gopher-lua"

	"github.com/hearthhost/hearth/object"
)

// newException is hearth.exception(class, …): a table with class, message and args,
// meant for error().
func (s *State) newException(L *lua.LState) int {
	class := L.CheckString(1)
	if class == "" || len(class) > 200 {
		L.ArgError(1, "class name expected")
	}
	args := L.CreateTable(L.GetTop(), 0)
	for i := 2; i <= L.GetTop(); i++ {
		v := L.Get(i)
		if v == lua.LNil {
			v = s.null
		}
		args.Append(v)
	}
	L.Push(s.exceptionTable(class, args))
	return 1
}

// exceptionTable makes the value that stands for an exception in Lua.
func (s *State) exceptionTable(class string, args *lua.LTable) *lua.LTable {
	t := s.l.CreateTable(0, 3)
	t.RawSetString("class", lua.LString(class))
	args.Metatable = s.mt.tuple
	t.RawSetString("args", args)
	message := ""
	if args.Len() > 0 {
		message = s.plainText(args.RawGetInt(1))
	}
	t.RawSetString("message", lua.LString(message))
	t.Metatable = s.mt.exception
	return t
}

// exceptionParts reads an exception's table, whatever the script has made of it.
func (s *State) exceptionParts(t *lua.LTable) (class string, args []lua.LValue, message string) {
	class = "RuntimeError"
	if c, ok := t.RawGetString("class").(lua.LString); ok && c != "" {
		class = string(c)
	}
	if m, ok := t.RawGetString("message").(lua.LString); ok {
		message = string(m)
	}
	if list, ok := t.RawGetString("args").(*lua.LTable); ok {
		n := min(list.Len(), 100)
		args = make([]lua.LValue, 0, n)
		for i := 1; i <= n; i++ {
			args = append(args, list.RawGetInt(i))
		}
	}
	return class, args, message
}

func joinMessage(class, message string) string {
	if message == "" {
		return class
	}
	return class + ": " + message
}

// qualify finds the name under which the caller knows a class, and arguments that fit
// it. A class that it does not know becomes a RuntimeError that names it.
func (s *State) qualify(class string, args []lua.LValue, message string) (string, []lua.LValue) {
	qualified, ok := s.className(class)
	if !ok {
		qualified, _ = s.className("RuntimeError")
		return qualified, []lua.LValue{lua.LString(s.cleanText(joinMessage(class, message)))}
	}
	bare := qualified[strings.LastIndexByte(qualified, '.')+1:]
	if want := fixedArgs[bare]; want > 0 && len(args) != want {
		// These cannot be made from a message alone; their parent can.
		qualified, _ = s.className("UnicodeError")
	}
	return qualified, args
}

// fixedArgs are the exception classes that take an exact number of arguments.
var fixedArgs = map[string]int{"UnicodeDecodeError": 5, "UnicodeEncodeError": 5, "UnicodeTranslateError": 4}

func (s *State) className(class string) (string, bool) {
	if s.req != nil && s.req.ClassName != nil {
		return s.req.ClassName(class)
	}
	switch class {
	case "RuntimeError", "ValueError", "TypeError", "KeyError", "IndexError", "AttributeError", "UnicodeError", "Exception":
		return "builtins." + class, true
	}
	return "", false
}

// writeRaised answers with what the script raised.
func (s *State) writeRaised(r *Request, raised lua.LValue) (Outcome, error) {
	class, args := s.raisedParts(raised)
	return s.writeException(r, class, args)
}

// raisedParts returns the exception for any value that a script can raise.
func (s *State) raisedParts(raised lua.LValue) (class string, args []lua.LValue) {
	if t, ok := raised.(*lua.LTable); ok && t.Metatable == s.mt.exception {
		class, args, message := s.exceptionParts(t)
		return s.qualify(class, args, message)
	}
	class, _ = s.className("RuntimeError")
	return class, []lua.LValue{lua.LString(s.cleanText(s.plainText(raised)))}
}

// writeException writes an exception dict as the result. class is bare or qualified.
// Arguments that cannot be sent make it a PyroError that tells what happened, as in Pyro.
func (s *State) writeException(r *Request, class string, args []lua.LValue) (Outcome, error) {
	if qualified, ok := s.className(class); ok {
		class = qualified
	}
	if r.ResetResult != nil {
		r.ResetResult()
	}
	err := s.encodeException(r, r.Result, class, args)
	if err == nil {
		return Outcome{Exception: true}, nil
	}
	_, why, ok := s.failure(err)
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
	return Outcome{Exception: true}, s.encodeException(r, r.Result, class, args)
}

// unsendable is the argument of the error about an exception that cannot be sent.
func (s *State) unsendable(why, class string, args []lua.LValue) []lua.LValue {
	original := class
	if len(args) > 0 {
		original += ": " + s.plainText(args[0])
	}
	return []lua.LValue{lua.LString(s.cleanText("Error serializing exception: " + why + ". Original exception: " + original))}
}

func (s *State) encodeException(r *Request, to object.Sink, class string, args []lua.LValue) error {
	s.enc.begin(to, r.Protocol, "the exception's args")
	// The result that it may be about is not sent, and it has to say why.
	s.enc.bytes = max(s.p.limits.ResultBytes, 64<<10)
	var trace []string
	if r.Traceback {
		trace = s.trace
	}
	s.enc.redact = true
	defer func() { s.enc.redact = false }()
	return s.enc.exceptionDict(class, args, trace)
}

// raisedError makes an error of what a script raised where there is no reply to put it in.
func (s *State) raisedError(raised lua.LValue) *object.Error {
	e := object.Errorf(object.CodeRaised, "%s", s.cleanText(s.plainText(raised)))
	if t, ok := raised.(*lua.LTable); ok && t.Metatable == s.mt.exception {
		class, _, message := s.exceptionParts(t)
		e.Class, e.Msg = s.p.env.Redact(class), s.cleanText(message)
	}
	return e
}

// cleanText makes a message that every serializer takes, and that holds no secret.
func (s *State) cleanText(t string) string {
	t = s.p.env.Redact(t) // before it is cut: half a secret is not found
	return clip(strings.ToValidUTF8(t, "\uFFFD"), 64<<10)
}

// plainText shows a value without running any code of the script.
func (s *State) plainText(v lua.LValue) string {
	switch v := v.(type) {
	case lua.LString:
		return string(v)
	case lua.LNumber:
		return formatNumber(float64(v))
	case lua.LBool, *lua.LNilType:
		return v.String()
	case *lua.LTable:
		if v.Metatable == s.mt.exception {
			class, _, message := s.exceptionParts(v)
			return joinMessage(class, message)
		}
	case *lua.LUserData:
		switch v := v.Value.(type) {
		case nullValue:
			return "None"
		case bytesValue:
			return string(v)
		case *big.Int:
			return v.String()
		case floatValue:
			return formatNumber(float64(v))
		case dateTime:
			return isoDateTime(float64(v))
		case dateValue:
			return isoDate(int64(v))
		}
	}
	return "(error object is a " + s.typeName(v) + ")"
}

// notice is what the VM calls instead of its own panic function while a call runs: it
// keeps the value, notes where it was raised if somebody wants to know, and spares the
// VM's own traceback, whose cost is the square of the depth.
func (s *State) notice(L *lua.LState) {
	if s.want {
		s.trace = s.traceback(L)
	}
	quietPanic(L)
}

func quietPanic(L *lua.LState) {
	panic(&lua.ApiError{Type: lua.ApiErrorRun, Object: L.Get(-1), StackTrace: "-"})
}

// maxTraceLines bounds a traceback.
const maxTraceLines = 20

// traceback lists the script's functions that are running, innermost last as in Python.
func (s *State) traceback(L *lua.LState) []string {
	var lines []string
	for level := 0; len(lines) < maxTraceLines; level++ {
		dbg, ok := L.GetStack(level)
		if !ok {
			break
		}
		if _, err := L.GetInfo("Sln", dbg, lua.LNil); err != nil {
			break
		}
		if dbg.Source == "" || dbg.CurrentLine <= 0 {
			continue
		}
		name := dbg.Name
		if name == "" || name == "?" || strings.HasPrefix(name, "<") || strings.HasPrefix(name, "(") {
			name = "function at line " + formatNumber(float64(dbg.LineDefined))
		}
		lines = append(lines, "  "+dbg.Source+":"+formatNumber(float64(dbg.CurrentLine))+": in "+name+"\n")
	}
	lines = append(lines, "Lua traceback (most recent call last):\n")
	slices.Reverse(lines)
	return lines
}
