package pyro

import (
	"errors"
	"strings"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/wire"
)

// NewException returns the exception that a peer of protocol p receives for err. Only the message of an
// [object.Error] is sent, and not that of an internal error. Of other errors only the kind is sent.
//
// The class is [ErrorClass] of err if the peer has it. No class chosen for a code makes a client close its connection.
func NewException(p wire.Protocol, err error) *codec.Exception {
	code := object.CodeOf(err)
	var msg, class string
	var e *object.Error
	if errors.As(err, &e) && code != object.CodeInternal {
		msg, class = e.Msg, ErrorClass(e)
	}
	if msg == "" {
		msg = strings.ReplaceAll(code.String(), "_", " ")
	}
	if code == object.CodeInternal || code == object.CodeOK {
		msg = "internal error"
	}
	qualified, ok := ClassName(p, class)
	switch {
	case class == "":
		qualified, _ = ClassName(p, classOf(code))
	case !ok: // the peer lacks the class: keep its name in the text
		qualified, _ = ClassName(p, classOf(code))
		msg = class + ": " + msg
	case needsFields(qualified):
		qualified = "builtins.UnicodeError"
	}
	return &codec.Exception{Class: qualified, Args: []any{msg}}
}

// reasonClasses has the exception classes of Python's and Pyro's daemons by reason.
var reasonClasses = [...]string{
	object.ReasonType:        "TypeError",
	object.ReasonValue:       "ValueError",
	object.ReasonSyntax:      "SyntaxError",
	object.ReasonKey:         "KeyError",
	object.ReasonTruncated:   "EOFError",
	object.ReasonUnsupported: "SerializeError",
	object.ReasonUnsafe:      "SecurityError",
	object.ReasonMember:      "AttributeError",
	object.ReasonObject:      "DaemonError",
	object.ReasonStream:      "PyroError",
	object.ReasonStreamEnd:   "StopIteration",
	object.ReasonMessage:     "MessageTooLargeError",
}

// ErrorClass returns the bare class of the exception for an error: the class that the object raised, or the class for
// the reason. It is "" for an error with neither.
func ErrorClass(e *object.Error) string {
	if e.Class != "" || int(e.Reason) >= len(reasonClasses) {
		return e.Class
	}
	return reasonClasses[e.Reason]
}

// classOf returns the exception class for a code.
func classOf(c object.Code) string {
	switch c {
	case object.CodeInvalid, object.CodeTooLarge:
		return "ValueError"
	case object.CodeUnauthenticated:
		return "SecurityError"
	case object.CodeDenied, object.CodeNotFound:
		return "DaemonError"
	case object.CodeDeadline:
		return "TimeoutError"
	default: // exhausted, canceled, unavailable, raised, internal
		return "RuntimeError"
	}
}

// BatchWrapperClass returns the class name of the dict that wraps an exception among the results of a batch.
//
// Source: doc/wire.md "Batches".
func BatchWrapperClass(p wire.Protocol) string {
	if p == wire.Pyro4 {
		return "Pyro4.futures._ExceptionWrapper"
	}
	return "Pyro5.core._ExceptionWrapper"
}
