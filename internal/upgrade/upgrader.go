package upgrade

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/hearthhost/hearth/internal/systemd"
)

// Server is the server of this process.
type Server interface {
	// Handoff returns duplicates of the files that a child takes over. From now on another process may write the
	// audit log, until EndHandoff. The caller closes the handoff.
	Handoff() (*Handoff, error)
	// EndHandoff reports that the other process has ended: the child, or the parent.
	EndHandoff()
	// InheritedListeners returns the names of the listeners that use a socket of the parent.
	InheritedListeners() []string
	// TakeOver makes the server the owner of the inherited files: the parent has stopped accepting.
	TakeOver()
	// Announce writes the description of the running host into the state folder.
	Announce(Running) error
	// Retire stops accepting, and leaves listeners to a child. Connections continue until they end or are passed to
	// the child, for drain at most. Then the server ends.
	Retire(to Successor, drain time.Duration)
	// Answers returns an error if the server does not answer on all its listeners.
	Answers(context.Context) error
}

// Successor describes a child that is ready to serve.
type Successor struct {
	Listeners   []string // names of the listeners that it serves with a passed socket
	Connections bool     // it takes connections from the passage of the handoff
}

// Config configures an [Upgrader].
type Config struct {
	Server   Server
	Parent   *Parent // nil if no upgrade started this process
	Signals  *Signals
	Notifier *systemd.Notifier
	Status   func() string // one line for the service manager, "STATUS=..."
	Log      *slog.Logger
	Version  string        // of this program
	Program  string        // path of the program that a child runs, see [ProgramPath]
	Args     []string      // arguments of a child, with the name as the first
	Drain    time.Duration // how long connections continue after an upgrade
}

// Upgrader completes the upgrade that started this process, and upgrades it when a signal requests that.
type Upgrader struct {
	Config
	running Running
	stale   bool // running could not be written; loop tries again
}

// New returns an upgrader. Call Begin, then Run.
func New(cfg Config) *Upgrader {
	u := &Upgrader{Config: cfg, running: Running{PID: os.Getpid(), Version: cfg.Version}}
	if cfg.Parent != nil {
		u.running.Upgrades = cfg.Parent.msg.Upgrades + 1
	}
	return u
}

// Begin makes a server that listens the one that serves: the parent stops accepting, and the state folder names
// this process. With an error the server must not serve.
func (u *Upgrader) Begin(ctx context.Context) error {
	if u.Parent != nil {
		if err := u.Parent.ready(ctx, u.Version, u.Server.InheritedListeners()); err != nil {
			return err
		}
		u.Server.TakeOver()
	}
	if err := u.announce(); err != nil {
		if u.Parent == nil {
			return err
		}
		// The parent has stopped accepting, so this process must serve.
		u.Log.Error("hearth upgrade cannot find this host until its description can be written", "err", err)
	}
	u.Notifier.Send("READY=1", u.Status())
	return nil
}

// announceRetry is the time after which a failed announce is repeated.
const announceRetry = time.Second

// announce writes the description of this process.
func (u *Upgrader) announce() error {
	err := u.Server.Announce(u.running)
	u.stale = err != nil
	return err
}

// Run starts the goroutines that upgrade and watch the server until serving ends. shutdown ends serving. wait
// returns when the goroutines and the parent have ended; the parent gets stepTimeout.
func (u *Upgrader) Run(serving context.Context, shutdown func()) (wait func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(serving))
	var wg sync.WaitGroup
	stopping := context.AfterFunc(serving, func() {
		u.Notifier.Send("STOPPING=1", "STATUS=finishing calls")
		u.Parent.requestExit()
	})
	wg.Go(func() { u.Notifier.Watch(ctx, u.healthy(serving), u.Status) })
	wg.Go(func() { u.loop(serving, shutdown) })
	if u.Parent != nil {
		go func() { // ends with the parent, or with this process
			u.Parent.awaitExit()
			u.Server.EndHandoff()
			u.Log.Info("the old process has ended")
		}()
	}
	return func() {
		stopping()
		cancel()
		wg.Wait()
		if u.Parent != nil {
			select {
			case <-u.Parent.exited:
			case <-time.After(stepTimeout):
			}
		}
	}
}

// healthy returns the check of the watchdog. A server that drains accepts nothing, and its drain has a time limit.
func (u *Upgrader) healthy(serving context.Context) func(context.Context) error {
	return func(ctx context.Context) error {
		if serving.Err() != nil {
			return nil //nolint:nilerr // a server that drains is healthy
		}
		err := u.Server.Answers(ctx)
		if serving.Err() != nil { // it has ended during the check
			return nil //nolint:nilerr // likewise
		}
		return err
	}
}

// loop upgrades on each request until an attempt succeeds.
func (u *Upgrader) loop(serving context.Context, shutdown func()) {
	for {
		var retry <-chan time.Time
		if u.stale {
			retry = time.After(announceRetry)
		}
		select {
		case <-serving.Done():
			return
		case <-retry:
			if u.announce() == nil {
				u.Log.Info("hearth upgrade can find this host again")
			}
			continue
		case <-u.Signals.upgrade:
		}
		if !u.awaitParent(serving) {
			return
		}
		c, err := u.upgrade(serving)
		if err == nil {
			go func() { // ends with the child, or with this process
				if !c.awaitExit() {
					u.Log.Error("the new process has ended; this one ends too")
				}
				shutdown()
			}()
			return
		}
		u.Log.Error("not upgraded; this process still serves", "err", err)
		u.running.Upgrades++
		u.running.Failure = err.Error()
		if err := u.announce(); err != nil {
			u.Log.Error("hearth upgrade cannot read this result until it can be written", "err", err)
		}
		u.Notifier.Send("READY=1", u.Status())
	}
}

// awaitParent waits until the parent has ended. It returns false if serving ends first.
func (u *Upgrader) awaitParent(serving context.Context) bool {
	if u.Parent == nil {
		return true
	}
	select {
	case <-u.Parent.exited:
		return true
	default:
	}
	u.Log.Info("the upgrade waits until the old process has ended")
	select {
	case <-u.Parent.exited:
		return true
	case <-serving.Done():
		return false
	}
}

// upgrade starts a child and retires the server. After an error the server serves as before.
func (u *Upgrader) upgrade(ctx context.Context) (*child, error) {
	if Supported != nil {
		return nil, Supported
	}
	if os.Getpid() == 1 {
		return nil, errors.New("this host is the first process of its container; start a new container instead")
	}
	if err := checkProgram(u.Program); err != nil {
		return nil, err
	}
	u.Log.Info("upgrading", "program", u.Program)
	u.Notifier.Send("RELOADING=1", "STATUS=starting a new process", monotonic())
	h, err := u.Server.Handoff()
	if err != nil {
		return nil, err
	}
	defer h.Close()
	c, err := start(u.Program, u.Args, h, u.Notifier.Environment(), u.running.Upgrades)
	if err != nil {
		u.Server.EndHandoff()
		return nil, err
	}
	ready, err := u.complete(ctx, c)
	if err != nil {
		err = c.abort(err)
		u.Server.EndHandoff()
		return nil, err
	}
	u.Notifier.Detach()
	u.Log.Info("upgraded", "pid", c.pid(), "version", ready.Version)
	u.Server.Retire(Successor{Listeners: ready.Listeners, Connections: ready.Connections}, u.Drain)
	return c, nil
}

// complete waits until the child is ready and lets it serve.
func (u *Upgrader) complete(ctx context.Context, c *child) (readyMsg, error) {
	ready, err := c.awaitReady(ctx)
	if err != nil {
		return ready, err
	}
	// The service manager must accept the child's messages from its first one on.
	u.Notifier.Send(fmt.Sprintf("MAINPID=%d", c.pid()), "READY=1")
	if err := c.send(controlMsg{Proceed: true}); err != nil {
		u.Notifier.Send(fmt.Sprintf("MAINPID=%d", os.Getpid()))
		return ready, err
	}
	return ready, nil
}
