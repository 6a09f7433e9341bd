package plugins

import (
	"context"
	"errors"

	"github.com/hearthhost/hearth/object"
)

// pending is a call that [Plugin.do] has not answered yet.
type pending struct {
	call   *object.Call
	sent   bool  // the plugin may have received it
	answer error // answer to a withdrawn call; nil for other calls
	cancel context.CancelCauseFunc
}

// enter registers a call and returns its context. The caller calls leave at the end of the call.
func (p *Plugin) enter(ctx context.Context, c *object.Call) (context.Context, *pending) {
	ctx, cancel := context.WithCancelCause(ctx)
	w := &pending{call: c, cancel: cancel}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pending[w] = struct{}{}
	return ctx, w
}

func (p *Plugin) leave(w *pending) {
	p.mu.Lock()
	delete(p.pending, w)
	p.mu.Unlock()
	w.cancel(nil)
}

// send marks a call as sent. It returns an error if the call was withdrawn before.
func (p *Plugin) send(w *pending) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	w.sent = w.answer == nil
	return w.answer
}

// Withdraw cancels the calls for which refuse returns an error; the error becomes their answer. It does not wait for
// the plugin. The SDKs do not begin a cancelled call that waits for its object. The host cannot see whether a sent
// call has begun, so its answer adds that the execution is unknown. refuse must not block.
func (p *Plugin) Withdraw(refuse func(c *object.Call) error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for w := range p.pending {
		if w.answer != nil {
			continue
		}
		err := refuse(w.call)
		if err == nil {
			continue
		}
		executed := "; not executed"
		if w.sent {
			executed = "; whether it was executed is unknown"
		}
		answer := &object.Error{Code: object.CodeOf(err), Msg: executed, Err: err}
		var refusal *object.Error
		if errors.As(err, &refusal) {
			answer.Msg, answer.Class = refusal.Msg+executed, refusal.Class
			answer.Reason = refusal.Reason
		}
		w.answer = answer
		w.cancel(answer)
	}
}

// withdrawn returns the answer to a withdrawn call, given its context; nil for other calls.
func withdrawn(ctx context.Context) error {
	var answer *object.Error
	if errors.As(context.Cause(ctx), &answer) {
		return answer
	}
	return nil
}
