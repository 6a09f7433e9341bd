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
	// Reason is the finer kind within Code, 0 for none.
	Reason Reason
	// Class is the class of an exception that the object itself raised, for example "KeyError". The stages of a call
	// do not set it.
	Class string
}

// Reason is the finer kind of an error within its [Code]. A gateway maps both to the errors of its protocol. The
// numbers are fixed and only appended to: they are sent over the worker link.
type Reason uint8

// The reasons.
const (
	ReasonType        Reason = 1  // a value of the wrong type, or the wrong number of arguments
	ReasonValue       Reason = 2  // a malformed value of the right type
	ReasonSyntax      Reason = 3  // a malformed text of a document
	ReasonKey         Reason = 4  // a required key is missing; the message is its name
	ReasonTruncated   Reason = 5  // the document ends early
	ReasonUnsupported Reason = 6  // a serializer, or a class of a value, that is not accepted
	ReasonUnsafe      Reason = 7  // a value that would be an attack on another receiver
	ReasonMember      Reason = 8  // the object does not have this method or attribute
	ReasonObject      Reason = 9  // the object does not exist, or the caller may not see it
	ReasonStream      Reason = 10 // the item stream does not exist
	ReasonStreamEnd   Reason = 11 // the item stream has no more items
	ReasonMessage     Reason = 12 // a message above the bound of its connection
)

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

// ErrStreamGone is the error of a request for an item of a stream that has ended or belongs to another caller.
var ErrStreamGone = &Error{Code: CodeNotFound, Reason: ReasonStream, Msg: "item stream terminated"}

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

// AsError returns err as an [Error], which may be sent over the worker link. An error without a code is CodeInternal.
func AsError(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	if code := CodeOf(err); code != CodeInternal {
		return Errorf(code, "%s", err)
	}
	return &Error{Code: CodeInternal, Err: err}
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
