package systemd

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// Notifier reports the state of a service to its service manager. Its methods may be called concurrently. Without
// a service manager they do nothing.
type Notifier struct {
	env      Environment
	log      *slog.Logger
	detached atomic.Bool
	warned   sync.Once
}

// NewNotifier returns a notifier for the service manager of env.
func NewNotifier(env Environment, log *slog.Logger) *Notifier { return &Notifier{env: env, log: log} }

// Environment returns the settings of the service manager.
func (n *Notifier) Environment() Environment { return n.env }

// Send sends variables such as "READY=1" in one message. It logs the first failure.
func (n *Notifier) Send(lines ...string) {
	if n.detached.Load() {
		return
	}
	if err := Notify(n.env.Notify, lines...); err != nil {
		n.warned.Do(func() { n.log.Warn("the service manager does not receive the state of this host", "err", err) })
	}
}

// Detach makes Send do nothing: another process is the service's main process now.
func (n *Notifier) Detach() { n.detached.Store(true) }

// Watch calls check twice in each watchdog interval and reports success, until ctx ends. A failed check is logged
// and not reported, so that the service manager restarts the service. status returns more lines for the message.
func (n *Notifier) Watch(ctx context.Context, check func(context.Context) error, status func() string) {
	if n.env.Watchdog == 0 || n.env.Notify == "" {
		return
	}
	tick := time.NewTicker(n.env.Watchdog / 2)
	defer tick.Stop()
	for {
		if err := n.check(ctx, check); err != nil {
			n.log.Error("the host does not answer; no watchdog message is sent", "err", err)
		} else {
			n.Send("WATCHDOG=1", status())
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// check calls check with a quarter of the interval as its time limit.
func (n *Notifier) check(ctx context.Context, check func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, n.env.Watchdog/4)
	defer cancel()
	err := check(ctx)
	if n.detached.Load() {
		return nil // the check failed because another process accepts now
	}
	return err
}
