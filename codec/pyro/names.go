package pyro

import (
	"strings"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/wire"
)

// builtinErrors are the built-in exception classes of Python 3.8 and later. It omits the classes that would end the
// caller's program or escape its "except Exception": BaseException, SystemExit, KeyboardInterrupt and GeneratorExit.
var builtinErrors = nameSet(`ArithmeticError AssertionError AttributeError BlockingIOError
	BrokenPipeError BufferError BytesWarning ChildProcessError ConnectionAbortedError
	ConnectionError ConnectionRefusedError ConnectionResetError DeprecationWarning EOFError
	EnvironmentError Exception FileExistsError FileNotFoundError FloatingPointError
	FutureWarning IOError ImportError ImportWarning IndentationError IndexError
	InterruptedError IsADirectoryError KeyError LookupError MemoryError
	ModuleNotFoundError NameError NotADirectoryError NotImplementedError OSError
	OverflowError PendingDeprecationWarning PermissionError ProcessLookupError
	RecursionError ReferenceError ResourceWarning RuntimeError RuntimeWarning
	StopAsyncIteration StopIteration SyntaxError SyntaxWarning SystemError TabError
	TimeoutError TypeError UnboundLocalError UnicodeDecodeError UnicodeEncodeError
	UnicodeError UnicodeTranslateError UnicodeWarning UserWarning ValueError Warning
	ZeroDivisionError`)

// pyroErrors are the classes of Pyro4.errors and Pyro5.errors.
var pyroErrors = nameSet(`PyroError CommunicationError ConnectionClosedError TimeoutError
	ProtocolError MessageTooLargeError SerializeError NamingError DaemonError SecurityError`)

func nameSet(names string) map[string]bool {
	set := map[string]bool{}
	for _, n := range strings.Fields(names) {
		set[n] = true
	}
	return set
}

// ClassName returns the qualified name of an exception class for peers of protocol p. It returns false for a class
// that such a peer lacks and for one that would end the peer's program. The name may be bare or qualified, of any
// generation of Python or Pyro. A bare TimeoutError is Python's: Pyro's TimeoutError makes clients close the
// connection. The class of an application, see [object.ValidClass], is unchanged: a peer has it if it registered the
// class.
//
// Source: doc/wire.md "Errors".
func ClassName(p wire.Protocol, name string) (qualified string, ok bool) {
	module, bare, found := cutModule(name)
	if !found {
		if builtinErrors[name] {
			return "builtins." + name, true
		}
		if pyroErrors[name] {
			return p.Module() + ".errors." + name, true
		}
		return "", false
	}
	switch module {
	case "builtins", "exceptions":
		if builtinErrors[bare] {
			return "builtins." + bare, true
		}
	case "Pyro4.errors", "Pyro5.errors":
		if pyroErrors[bare] {
			return p.Module() + ".errors." + bare, true
		}
	default:
		if object.ValidClass(name) {
			return name, true
		}
	}
	return "", false
}

// cutModule splits a qualified class name at its last dot.
func cutModule(name string) (module, bare string, ok bool) {
	i := strings.LastIndexByte(name, '.')
	if i < 0 {
		return "", name, false
	}
	return name[:i], name[i+1:], true
}

// needsFields reports whether a class requires more arguments than a message.
func needsFields(qualified string) bool {
	switch object.BareClass(qualified) {
	case "UnicodeDecodeError", "UnicodeEncodeError", "UnicodeTranslateError":
		return true
	}
	return false
}

// BareClass is [object.BareClass], for users of formats.
func BareClass(name string) string { return object.BareClass(name) }
