package dispatch

import (
	"context"

	"github.com/hearthhost/hearth/audit"
	"github.com/hearthhost/hearth/object"
)

// CancelCause is the cause with which a gateway cancels the context of its calls. It is a [context.Canceled].
type CancelCause string

// Causes of a cancellation.
const (
	ClientGone      CancelCause = "client gone"
	IdentityRevoked CancelCause = "identity revoked"
	HostStopping    CancelCause = "the host stops"
	CallerEnded     CancelCause = "the calling call ended"
)

// Error returns the cause.
func (c CancelCause) Error() string { return string(c) }

// Is reports whether target is [context.Canceled].
func (c CancelCause) Is(target error) bool { return target == context.Canceled }

// errCancelled is the error of a call whose context was done before the call began.
var errCancelled = object.Errorf(object.CodeCanceled, "the call was cancelled; not executed")

// noteCancelled records that an authorized call was cancelled. It does nothing for other failures. The record does not
// wait for the disk: the call has ended.
func (d *Dispatcher) noteCancelled(ctx context.Context, call *object.Call, err error) {
	if ctx.Err() == nil || object.CodeOf(err) != object.CodeCanceled {
		return
	}
	cause := context.Cause(ctx)
	if cause == context.Canceled { //nolint:errorlint // a host call, whose cause is not wrapped
		cause = CallerEnded
	}
	reason := "cancelled: " + cause.Error()
	d.log.Debug("cancelled", "principal", string(call.Caller.Principal), "object", string(call.ID),
		"method", string(call.Method), "call", object.CorrelationText(call.Corr), "reason", reason)
	log := d.audit.Load()
	if log == nil {
		return
	}
	r := &audit.Record{
		Event:  "cancelled",
		Permit: true,
		Caller: &call.Caller,
		Object: call.ID,
		Method: call.Method,
		Reason: reason,
		Call:   call.Corr,
	}
	if call.Kind == object.Batch {
		r.Count = len(call.Batch)
	}
	log.Post(r)
}
