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

// Executed says whether the server ran a call that failed.
type Executed uint8

// What can be known of a failed call. Unknown is the zero value: assume nothing.
const (
	Unknown Executed = 0 // the request was sent, and no answer came
	No      Executed = 1 // the server never had the whole request
	Yes     Executed = 2 // the server answered, but the answer is of no use
)

// String returns "unknown", "no" or "yes".
func (e Executed) String() string { return [...]string{"unknown", "no", "yes"}[min(e, 2)] }

// CallError is a call that failed other than by an exception of the server. Err is
// normally an *object.Error: CodeUnavailable for trouble with the connection,
// CodeDeadline and CodeCanceled for the context's end (which the chain holds too),
// CodeInvalid for values that cannot be sent or answers that make no sense.
type CallError struct {
	Executed Executed
	Err      error
}

// What callers tell from other causes of a [CallError], by errors.Is.
var (
	// ErrProtocol says that the server speaks the other generation's protocol.
	ErrProtocol = object.Errorf(object.CodeInvalid, "the server answers in another protocol")
	// ErrStream says that the call opened an item stream, which was closed again.
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

// RemoteError is an exception that the server answered with. object.CodeOf of it is
// CodeRaised.
type RemoteError struct {
	Class      string // with its module, such as "builtins.ValueError"
	Args       []any
	Traceback  []string // of the server, if it tells; each text ends in a newline
	Attributes map[string]any
}

// Message returns the exception's arguments as one text: a single one as it is, more in
// parentheses.
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
	_, name, _ := strings.Cut(e.Class, ".errors.")
	switch name {
	case "CommunicationError", "ConnectionClosedError", "TimeoutError", "ProtocolError",
		"MessageTooLargeError", "SerializeError", "SecurityError":
		return true
	}
	return false
}

// remoteError makes an error of an exception dict, nil if v is none.
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

// elements returns what a list, tuple or set holds.
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

// failed wraps what went wrong with a connection. The context's own error explains a
// passed deadline better than the connection's does.
func failed(ctx context.Context, executed Executed, what string, err error) error {
	code := object.CodeUnavailable
	if ctx.Err() != nil {
		err = ctx.Err()
		code = object.CodeOf(err)
	} else if errors.Is(err, os.ErrDeadlineExceeded) {
		code, err = object.CodeDeadline, errors.Join(context.DeadlineExceeded, err)
	}
	return &CallError{Executed: executed, Err: &object.Error{Code: code, Msg: what, Err: err}}
}

// nonsense is an answer that cannot be used.
func nonsense(executed Executed, format string, args ...any) error {
	return &CallError{Executed: executed, Err: object.Errorf(object.CodeInvalid, format, args...)}
}
