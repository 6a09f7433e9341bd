package plugins

import (
	"context"
	"time"
)

// retirePause is the poll interval of Retire.
const retirePause = 200 * time.Millisecond

// Retire waits until no call is running and no stream is open, or ctx is done. The caller makes no new calls.
func (p *Plugin) Retire(ctx context.Context) {
	tick := time.NewTicker(retirePause)
	defer tick.Stop()
	for p.busy() {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// busy reports whether a start, a call or a stream is active.
func (p *Plugin) busy() bool {
	p.mu.Lock()
	pr, starting := p.proc, p.attempt != nil
	p.mu.Unlock()
	if pr == nil {
		return starting
	}
	pr.mu.Lock()
	defer pr.mu.Unlock()
	return len(pr.calls) > 0 || len(pr.streams) > 0
}
