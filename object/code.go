package object

import (
	"context"
	"errors"
	"fmt"
)

// Code says what kind of failure an error is and so whose fault it was. Numbers are
// fixed and only ever appended to: they cross the worker's socket.
type Code uint8

// The codes.
const (
	CodeOK              Code = 0
	CodeInvalid         Code = 1  // bytes or arguments do not parse, or make no sense; the caller's fault
	CodeTooLarge        Code = 2  // a declared bound was exceeded; the caller's fault
	CodeUnauthenticated Code = 3  // identity unproven
	CodeDenied          Code = 4  // the policy said no
	CodeNotFound        Code = 5  // no such object or method, told only to those allowed to know
	CodeExhausted       Code = 6  // a limit was spent; the message says which
	CodeDeadline        Code = 7  // time ran out
	CodeCanceled        Code = 8  // somebody stopped it
	CodeUnavailable     Code = 9  // draining or restarting; a retry may help
	CodeRaised          Code = 10 // the object's own error; its message belongs to its author
	CodeInternal        Code = 11 // ours; the caller sees the code and the call id only
	CodeRetired         Code = 12 // the backend was replaced or is closed; not executed, the current backend may run it
)

var codeNames = [...]string{"ok", "invalid", "too_large", "unauthenticated", "denied", "not_found",
	"exhausted", "deadline", "canceled", "unavailable", "raised", "internal", "retired"}

// String returns the code's name as logs and audit records spell it.
func (c Code) String() string {
	if int(c) < len(codeNames) {
		return codeNames[c]
	}
	return fmt.Sprintf("code(%d)", uint8(c))
}

// Error is the one error type at the boundary between stages. Msg is safe to send to
// the caller; Err, the cause, is for the log only and never crosses the wire.
type Error struct {
	Code Code
	Msg  string
	Err  error
	// Class is the exception class that a Pyro caller sees, for example "TypeError";
	// empty means the one that the code stands for.
	Class string
}

// Error returns the code, the safe message and, if there is one, the cause.
func (e *Error) Error() string {
	switch {
	case e.Err == nil && e.Msg == "":
		return e.Code.String()
	case e.Err == nil:
		return e.Code.String() + ": " + e.Msg
	case e.Msg == "":
		return e.Code.String() + ": " + e.Err.Error()
	}
	return e.Code.String() + ": " + e.Msg + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an [Error] whose message is safe to send.
func Errorf(c Code, format string, args ...any) *Error {
	return &Error{Code: c, Msg: fmt.Sprintf(format, args...)}
}

// ErrStreamGone is the answer to who asks for an item of a stream that has ended, or is
// not the asker's. It is a PyroError in every generation.
var ErrStreamGone = &Error{Code: CodeNotFound, Class: "PyroError", Msg: "item stream terminated"}

// ErrRetired is the error of a backend that is closed. The host looks up the object's current backend and tries once
// more; see [Retired].
var ErrRetired = &Error{Code: CodeRetired, Msg: "the host is shutting down; not executed"}

// ErrShutdown is the answer to a caller when the current backend is closed, too.
var ErrShutdown = &Error{Code: CodeUnavailable, Msg: "the host is shutting down; not executed"}

// Retired reports whether err is an [Error] with CodeRetired. It does not allocate.
func Retired(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Code == CodeRetired
}

// CodeOf maps any error to a code: nil to CodeOK, an [Error] anywhere in the chain to
// its code, context errors to deadline and canceled, all else to internal.
func CodeOf(err error) Code {
	if err == nil {
		return CodeOK
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return CodeDeadline
	case errors.Is(err, context.Canceled):
		return CodeCanceled
	}
	return CodeInternal
}
