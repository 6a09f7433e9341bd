package object

import "strings"

// Executed is whether the call of an error was executed.
type Executed string

// The states of a failed call.
const (
	NotExecuted      Executed = "no"
	WasExecuted      Executed = "yes" // or a part of it
	ExecutionUnknown Executed = "unknown"
)

// Executed returns whether the call was executed. The code determines it, or the message.
//
// An error that the object raised, and one about a value of the caller, have texts of others: these decide nothing.
func (e *Error) Executed() Executed {
	switch {
	case e.Code == CodeRaised:
		return WasExecuted
	case e.Code == CodeInternal:
		return ExecutionUnknown
	case e.Code == CodeInvalid && e.Reason != 0:
		return NotExecuted
	case strings.Contains(e.Msg, "not executed"):
		return NotExecuted
	case strings.Contains(e.Msg, "is unknown"):
		return ExecutionUnknown
	case strings.Contains(e.Msg, "executed"):
		return WasExecuted
	}
	switch e.Code {
	case CodeInvalid, CodeTooLarge, CodeUnauthenticated, CodeDenied, CodeNotFound, CodeExhausted, CodeRetired:
		return NotExecuted
	}
	return ExecutionUnknown
}
