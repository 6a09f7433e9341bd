package client

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/hearthhost/hearth/codec"
	"github.com/hearthhost/hearth/object"
)

// Executed reports whether the server has executed a failed call.
type Executed uint8

// The states of a failed call. The zero value is Unknown.
const (
	Unknown Executed = 0 // the request was sent and there is no reply
	No      Executed = 1 // the server did not receive the whole request
	Yes     Executed = 2 // the server replied, but the reply is not usable
)

// String returns "unknown", "no" or "yes".
func (e Executed) String() string { return [...]string{"unknown", "no", "yes"}[min(e, 2)] }

// CallError is a failed call without an exception of the server. Err is normally an *object.Error. CodeUnavailable is
// an error of the connection. CodeDeadline and CodeCanceled are the end of the context, whose error is in the chain.
// CodeInvalid is a value that cannot be sent, or an invalid reply.
type CallError struct {
	Executed Executed
	Err      error
}

// Causes of a [CallError], for errors.Is.
var (
	// ErrProtocol is a reply in the protocol of the other generation.
	ErrProtocol = object.Errorf(object.CodeInvalid, "the server replies in another protocol")
	// ErrStream is the result of a call that opened an item stream. The stream was closed.
	ErrStream = object.Errorf(object.CodeInvalid, "the call opened an item stream: use Stream")
)

// Error returns the cause and whether the call was executed.
func (e *CallError) Error() string {
	switch e.Executed {
	case No:
		return e.Err.Error() + " (the call was not executed)"
	case Yes:
		return e.Err.Error() + " (the call was executed)"
	default:
		return e.Err.Error() + " (whether the call was executed is unknown)"
	}
}

// Unwrap returns the cause.
func (e *CallError) Unwrap() error { return e.Err }

// RemoteError is an exception in the reply of the server. Its object.CodeOf is CodeRaised.
type RemoteError struct {
	Class      string // with its module, such as "builtins.ValueError"
	Args       []any
	Traceback  []string // lines of the server with newlines; nil if it sends none
	Attributes map[string]any
}

// Message returns the exception's arguments as one text. Several arguments are in parentheses.
func (e *RemoteError) Message() string {
	if len(e.Args) == 1 {
		return fmt.Sprint(e.Args[0])
	}
	if len(e.Args) == 0 {
		return ""
	}
	texts := make([]string, len(e.Args))
	for i, a := range e.Args {
		texts[i] = fmt.Sprintf("%#v", a)
	}
	return "(" + strings.Join(texts, ", ") + ")"
}

// Error returns class and message.
func (e *RemoteError) Error() string {
	if m := e.Message(); m != "" {
		return e.Class + ": " + m
	}
	return e.Class
}

// Unwrap returns an *object.Error with CodeRaised.
func (e *RemoteError) Unwrap() error { return &object.Error{Code: object.CodeRaised} }

// closes reports whether servers close the connection after this error.
func (e *RemoteError) closes() bool {
	if !object.ReservedClass(e.Class) {
		return false
	}
	_, name, _ := strings.Cut(e.Class, ".errors.")
	switch name {
	case "CommunicationError", "ConnectionClosedError", "TimeoutError", "ProtocolError",
		"MessageTooLargeError", "SerializeError", "SecurityError":
		return true
	}
	return false
}

// remoteError returns the exception of an exception dict, nil for other values.
func remoteError(v any) *RemoteError {
	e := new(RemoteError)
	switch v := v.(type) {
	case *codec.Exception:
		return &RemoteError{Class: v.Class, Args: v.Args, Traceback: v.Traceback, Attributes: v.Attributes}
	case map[string]any:
		class, ok := v["__class__"].(string)
		if !ok {
			return nil
		}
		e.Class = class
		e.Args, _ = elements(v["args"])
		e.Attributes, _ = v["attributes"].(map[string]any)
	default:
		return nil
	}
	lines, _ := elements(e.Attributes["_pyroTraceback"])
	for _, l := range lines {
		if text, ok := l.(string); ok {
			e.Traceback = append(e.Traceback, text)
		}
	}
	return e
}

// elements returns the elements of a list, tuple or set.
func elements(v any) ([]any, bool) {
	switch v := v.(type) {
	case []any:
		return v, true
	case codec.Tuple:
		return v, true
	case codec.Set:
		return v, true
	}
	return nil, false
}

// wrapError returns a [CallError] for an error of the connection. If the context has ended, it has the context's
// error as its cause.
func wrapError(ctx context.Context, executed Executed, what string, err error) error {
	code := object.CodeUnavailable
	if ctx.Err() != nil {
		err = ctx.Err()
		code = object.CodeOf(err)
	} else if errors.Is(err, os.ErrDeadlineExceeded) {
		code, err = object.CodeDeadline, errors.Join(context.DeadlineExceeded, err)
	}
	return &CallError{Executed: executed, Err: &object.Error{Code: code, Msg: what, Err: err}}
}

// badReply returns the error for an invalid reply.
func badReply(executed Executed, format string, args ...any) error {
	return &CallError{Executed: executed, Err: object.Errorf(object.CodeInvalid, format, args...)}
}
