package pyro

import (
	"errors"
	"strings"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/object"
)

// NewException returns the exception that tells a peer of protocol p about err. Of an
// [object.Error] only the message crosses, of an internal error not even that; of any
// other error nothing but what kind it was.
//
// The class is err's own where the peer knows it. None that stands for a code makes a
// client close its connection.
func NewException(p object.Protocol, err error) *codec.Exception {
	code := object.CodeOf(err)
	var msg, class string
	var e *object.Error
	if errors.As(err, &e) && code != object.CodeInternal {
		msg, class = e.Msg, e.Class
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
	case !ok: // the name, which means nothing to the peer, still does to a reader
		qualified, _ = ClassName(p, classOf(code))
		msg = class + ": " + msg
	case needsFields(qualified):
		qualified = "builtins.UnicodeError"
	}
	return &codec.Exception{Class: qualified, Args: []any{msg}}
}

// classOf is the table from codes to exception classes.
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

// BatchWrapperClass returns the class name of the dict that holds an exception among
// the results of a batch.
//
// Source: doc/wire.md "Batches".
func BatchWrapperClass(p object.Protocol) string {
	if p == object.Pyro4 {
		return "Pyro4.futures._ExceptionWrapper"
	}
	return "Pyro5.core._ExceptionWrapper"
}
