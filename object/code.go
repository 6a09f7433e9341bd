package object

import (
	"context"
	"errors"
	"fmt"
)

// Code is the kind of an error. The numbers are fixed and only appended to: they are sent over the worker link.
type Code uint8

// The codes.
const (
	CodeOK              Code = 0
	CodeInvalid         Code = 1  // malformed bytes or arguments; the caller's fault
	CodeTooLarge        Code = 2  // a declared bound is exceeded; the caller's fault
	CodeUnauthenticated Code = 3  // identity unproven
	CodeDenied          Code = 4  // rejected by the policy
	CodeNotFound        Code = 5  // object or method not found; sent only to permitted callers
	CodeExhausted       Code = 6  // a limit was reached; the message names it
	CodeDeadline        Code = 7  // timeout
	CodeCanceled        Code = 8  // canceled by the caller or the host
	CodeUnavailable     Code = 9  // draining or restarting; a retry may help
	CodeRaised          Code = 10 // error raised by the object, with the object's message
	CodeInternal        Code = 11 // error of the host; the caller receives code and call id only
	CodeRetired         Code = 12 // the backend is closed; not executed, the current backend may run it
)

var codeNames = [...]string{"ok", "invalid", "too_large", "unauthenticated", "denied", "not_found",
	"exhausted", "deadline", "canceled", "unavailable", "raised", "internal", "retired"}

// String returns the name of the code in logs and audit records.
func (c Code) String() string {
	if int(c) < len(codeNames) {
		return codeNames[c]
	}
	return fmt.Sprintf("code(%d)", uint8(c))
}

// Error is the error type between the stages. Msg is safe to send to the caller. Err is the cause: it is logged and
// never sent.
type Error struct {
	Code Code
	Msg  string
	Err  error
	// Class is the exception class for a Pyro caller, for example "TypeError". Empty is the class of the code.
	Class string
}

// Error returns the code, the safe message and the cause.
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

// Errorf returns an [Error] whose message is safe to send.
func Errorf(c Code, format string, args ...any) *Error {
	return &Error{Code: c, Msg: fmt.Sprintf(format, args...)}
}

// ErrStreamGone is the error of a request for an item of a stream that has ended or belongs to another caller. It is
// a PyroError in every generation.
var ErrStreamGone = &Error{Code: CodeNotFound, Class: "PyroError", Msg: "item stream terminated"}

// ErrRetired is the error of a closed backend. The host looks up the current backend of the object and retries once:
// see [Retired].
var ErrRetired = &Error{Code: CodeRetired, Msg: "the host is shutting down; not executed"}

// ErrShutdown is the error for the caller if the current backend is closed too.
var ErrShutdown = &Error{Code: CodeUnavailable, Msg: "the host is shutting down; not executed"}

// Retired reports whether err is an [Error] with CodeRetired. It does not allocate.
func Retired(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Code == CodeRetired
}

// SafeText returns the text of an error that a peer may read: the message of an [Error], "internal error" for others.
func SafeText(err error) string {
	if e, ok := errors.AsType[*Error](err); ok && e.Msg != "" {
		return e.Msg
	}
	return "internal error"
}

// CodeOf returns the code of any error. nil is CodeOK, an [Error] in the chain is its code, and context errors are
// CodeDeadline and CodeCanceled. All others are CodeInternal.
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
