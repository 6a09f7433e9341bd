// Package exception converts the values that a script raises to exceptions of the caller's language.
//
// A script can raise any value: a text, an exception of hearth.exception, or the dict of an exception that it
// received. A [Converter] gives them a class that the caller has. A class that the caller lacks becomes a RuntimeError,
// with the name of the class in the message. All texts are valid UTF-8, of bounded length and without secrets.
//
// The package writes no reply: package sandbox sends the class and the arguments.
package exception

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/convert"
	"github.com/hearthhost/hearth/sandbox/lua"
	"github.com/hearthhost/hearth/sandbox/services"
	"github.com/hearthhost/hearth/sandbox/values"
)

// Converter converts the values that a script raises to exceptions of the running call's caller. It belongs to the
// goroutine of a state.
type Converter struct {
	types    *values.Types
	services services.Set
	classes  func() convert.Classes // classes of the caller
}

// New returns the converter of a state. No service of s may be nil. classes returns the classes of the running call's
// caller.
func New(types *values.Types, s services.Set, classes func() convert.Classes) *Converter {
	return &Converter{types: types, services: s, classes: classes}
}

// Qualify returns the caller's name of a class, and arguments that fit the class. A class that the caller lacks becomes
// a RuntimeError with the name in its message.
func (c *Converter) Qualify(class string, args []lua.Value, message string) (string, []lua.Value) {
	qualified, ok := c.Name(class)
	if !ok {
		qualified, _ = c.Name("RuntimeError")
		return qualified, []lua.Value{lua.String(c.Clean(values.JoinMessage(class, message)))}
	}
	bare := object.BareClass(qualified)
	if want := fixedArgs[bare]; want > 0 && len(args) != want {
		// These classes need more than a message. Their parent does not.
		qualified, _ = c.Name("UnicodeError")
	}
	return qualified, args
}

// fixedArgs are the exception classes that take an exact number of arguments.
var fixedArgs = map[string]int{"UnicodeDecodeError": 5, "UnicodeEncodeError": 5, "UnicodeTranslateError": 4}

// Name returns the qualified name of a class for the caller, and false if the caller lacks the class.
func (c *Converter) Name(class string) (string, bool) { return c.classes().Exception(class) }

// Raised is an exception for the caller.
type Raised struct {
	Class  string // the caller's name of the class
	Args   []lua.Value
	Fields *lua.Table // nil: no fields
}

// Parts returns the exception for any value that a script can raise.
func (c *Converter) Parts(raised lua.Value) (r Raised) {
	t := raised.AsTable()
	switch {
	case t != nil && t.Meta == c.types.Exception:
		class, args, message := c.types.ExceptionParts(t)
		r.Class, r.Args = c.Qualify(class, args, message)
		r.Fields = values.ExceptionFields(t)
	case c.received(t):
		class, _ := t.GetString(convert.ClassKey).AsString()
		r.Class, r.Args = c.Qualify(object.BareClass(class), receivedArgs(t), "")
		r.Fields = receivedFields(t)
	default:
		r.Class, _ = c.Name("RuntimeError")
		r.Args = []lua.Value{lua.String(c.Clean(c.types.PlainText(raised)))}
	}
	return r
}

// received reports whether a table is an exception that was an argument: a dict as Python peers send it.
func (c *Converter) received(t *lua.Table) bool {
	if t == nil || t.Meta != c.types.Dict || t.GetString("__exception__") != lua.True {
		return false
	}
	_, ok := t.GetString(convert.ClassKey).AsString()
	return ok
}

// receivedArgs returns the arguments of a received exception.
func receivedArgs(t *lua.Table) (args []lua.Value) {
	if list := t.GetString("args").AsTable(); list != nil {
		for i := 1; i <= min(list.Len(), 100); i++ {
			args = append(args, list.GetInt(i))
		}
	}
	return args
}

// receivedFields returns the fields of a received exception, nil for none. Attributes that cannot be fields, such as
// the traceback, are dropped.
func receivedFields(t *lua.Table) *lua.Table {
	attributes := t.GetString("attributes").AsTable()
	if attributes == nil {
		return nil
	}
	var fields *lua.Table
	n := 0
	for k, v := range attributes.All() {
		name, _ := k.AsString()
		if n == values.MaxFields || !object.ValidField(name) {
			continue
		}
		if n++; n == 1 {
			fields = lua.NewTable(0, 1)
		}
		fields.SetString(name, v)
	}
	return fields
}

// maxRaised limits the description of an exception in the host's log, in bytes.
const maxRaised = 4 << 10

// Describe returns class, message and position of an exception, for the host's log. at is file and line, or "".
func (c *Converter) Describe(class string, args []lua.Value, at string) string {
	text := object.BareClass(class)
	if len(args) > 0 {
		text = values.JoinMessage(text, c.types.PlainText(args[0]))
	}
	text = values.Clip(c.Clean(text), maxRaised)
	if at != "" && !strings.Contains(text, ".lua:") {
		text += " (" + at + ")"
	}
	return text
}

// Unsendable returns the arguments of the error for an exception that cannot be sent.
func (c *Converter) Unsendable(why, class string, args []lua.Value) []lua.Value {
	original := class
	if len(args) > 0 {
		original += ": " + c.types.PlainText(args[0])
	}
	return []lua.Value{lua.String(c.Clean("Error serializing exception: " + why + ". Original exception: " +
		original))}
}

// Error returns the error for a raised value where no reply exists.
func (c *Converter) Error(raised lua.Value) *object.Error {
	e := object.Errorf(object.CodeRaised, "%s", c.Clean(c.types.PlainText(raised)))
	if t := raised.AsTable(); t != nil && t.Meta == c.types.Exception {
		class, _, message := c.types.ExceptionParts(t)
		e.Class, e.Msg = c.services.Shown(class, maxErrorName), c.Clean(message)
	}
	return e
}

// maxErrorName limits the part of a class name that is read for a message, in bytes.
const maxErrorName = 300

// MaxBytes limits a message, in bytes.
const MaxBytes = 64 << 10

// Clean makes a message valid for every serializer and removes secrets.
func (c *Converter) Clean(t string) string {
	t = c.services.Secrets.Redact(t, MaxBytes+1)
	return values.Clip(strings.ToValidUTF8(t, "\uFFFD"), MaxBytes)
}

// Origin returns the position where a value is raised, as file and line, and the traceback if traced is set. A handler
// of uncaught errors calls it.
func Origin(L *lua.Thread, traced bool) (at string, trace []string) {
	if traced {
		trace = traceback(L)
	}
	return position(L), trace
}

// position returns file and line of the innermost running Lua function, or "" if the first levels have none.
func position(L *lua.Thread) string {
	for n := 1; n <= maxTraceLines; n++ { // 0 is the caller of position
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
func traceback(L *lua.Thread) []string {
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
