package pyro

import (
	"strings"

	"github.com/hearthhost/hearth/object"
)

// builtinErrors are the exception classes that every Python 3 from 3.8 on has built in,
// but for those that would end the caller's program or escape its "except Exception"
// (BaseException, SystemExit, KeyboardInterrupt, GeneratorExit).
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

// ClassName returns the qualified name under which a peer of protocol p knows the
// exception class called name, and false if it knows none, or if raising it would end
// the peer's program. The name may be bare or qualified for any generation of Python or
// Pyro. A bare TimeoutError is Python's: Pyro's own makes clients close the connection.
//
// Source: doc/wire.md "Errors".
func ClassName(p object.Protocol, name string) (qualified string, ok bool) {
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
	}
	return "", false
}

// BareClass returns a class name without its module: "ValueError" for
// "builtins.ValueError".
func BareClass(name string) string {
	return name[strings.LastIndexByte(name, '.')+1:]
}

// cutModule cuts a qualified class name at its last dot.
func cutModule(name string) (module, bare string, ok bool) {
	i := strings.LastIndexByte(name, '.')
	if i < 0 {
		return "", name, false
	}
	return name[:i], name[i+1:], true
}

// needsFields reports whether a class cannot be made with a message alone.
func needsFields(qualified string) bool {
	switch BareClass(qualified) {
	case "UnicodeDecodeError", "UnicodeEncodeError", "UnicodeTranslateError":
		return true
	}
	return false
}
