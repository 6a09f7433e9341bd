package egress

import (
	"fmt"

	"github.com/hearthhost/hearth/object"
)

// Classes of the errors. The message ends with the state of the request: "not sent", or how far it went.
const (
	ClassDenied   = "EgressDenied"   // the policy or a limit of it rejects the request
	ClassTimeout  = "EgressTimeout"  // no response in time
	ClassTooLarge = "EgressTooLarge" // the request or the response exceeds a limit
	ClassFailed   = "EgressFailed"   // name, connection, TLS or protocol failed, or a credential is missing
)

// State is the part of a request's life that an error reports.
type State string

// States of a failed request.
const (
	NotSent  State = "not sent"
	Sent     State = "sent; executed: unknown"
	Answered State = "the server has answered; executed: unknown"
)

var codes = map[string]object.Code{
	ClassDenied:   object.CodeDenied,
	ClassTimeout:  object.CodeDeadline,
	ClassTooLarge: object.CodeTooLarge,
	ClassFailed:   object.CodeUnavailable,
}

// failure returns an error that the script may read.
func failure(class string, state State, format string, args ...any) *object.Error {
	e := object.Errorf(codes[class], "%s; %s", fmt.Sprintf(format, args...), state)
	e.Class = class
	return e
}

// Denied returns the error of a request that the policy rejects.
func Denied(err error) error { return failure(ClassDenied, NotSent, "%v", err) }
