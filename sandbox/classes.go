package sandbox

import (
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/convert"
)

// Classes has the names under which a peer has its classes.
type Classes = convert.Classes

// classes returns the classes of the caller of the running call.
func (s *State) classes() Classes {
	if s.req != nil && s.req.Classes != nil {
		return s.req.Classes
	}
	return commonClasses{}
}

// knownClass reports whether dicts of a class are accepted as arguments: data classes always, and exceptions that the
// caller of the running call has.
func (s *State) knownClass(name string) bool {
	if _, ok := s.p.classes.Class(name); ok {
		return true
	}
	if s.req == nil || s.req.Classes == nil {
		return false
	}
	_, ok := s.req.Classes.Exception(name)
	return ok
}

// commonClasses are the classes of a peer whose classes are not known: Python's most frequent exceptions.
type commonClasses struct{}

func (commonClasses) Exception(name string) (string, bool) {
	switch name {
	case "RuntimeError", "ValueError", "TypeError", "KeyError", "IndexError", "AttributeError", "UnicodeError",
		"Exception":
		return "builtins." + name, true
	}
	return "", false
}

func (commonClasses) Class(name string) (string, bool)  { return name, false }
func (commonClasses) State(string, int) []int           { return nil }
func (commonClasses) ErrorClass(e *object.Error) string { return e.Class }
func (commonClasses) BatchWrapper() string              { return "" }
