package plugins

import (
	"context"
	"time"
)

// retirePause is how often a plugin that leaves is looked at.
const retirePause = 200 * time.Millisecond

// Retire waits until no call is under way and no stream open, or ctx is done. Nobody is to
// ask for anything new.
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

// busy reports whether something is under way.
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
