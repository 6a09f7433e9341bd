// Package plugins runs the executables that a host serves as objects. A [Plugin] starts
// one when it is first called, speaks to it by gRPC under go-plugin with mutual TLS, and
// answers for it when it dies. It never looks into a payload, and it believes nothing that
// a plugin says beyond "this is the reply to that".
//
// Who owns what: a Plugin owns at most one process. Each process has a goroutine that
// waits for it, on a thread of its own; one that copies what it prints; one that watches
// its health. All end with the process. Close ends the process and waits for them.
package plugins

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/hearthhost/hearth/internal/backoff"
	"github.com/hearthhost/hearth/internal/procstat"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/plugins/binary"
	"github.com/hearthhost/hearth/sandbox/confine"
)

// Config says which executable it is and what it serves. ID, Path, Objects, Shim and Dir
// are required, and SHA256 or Unpinned.
type Config struct {
	ID       object.ID
	Path     string
	SHA256   string      // of the file, lower-case hexadecimal
	Unpinned bool        // any content will do, which is logged at every start
	Objects  []object.ID // what it may serve: ID itself, or names below it
	Shim     []string    // starts [Shim]
	// Confine is what walls are around it; the zero value is all of them. Unconfined puts up
	// none: it runs with all the rights of the host's user, which is logged at every start.
	Confine    confine.Program
	Unconfined bool
	Dir        string // for sockets: a folder that is only this user's
	// Idle is after what time without a call a plugin is stopped that has no state to
	// lose, which is one whose objects are all of mode "call"; 0 means 5 minutes.
	Idle time.Duration
	// Proxy authorises and runs a call from one of the objects to another.
	Proxy func(ctx context.Context, from object.ID, alone bool, c *object.Call) (object.Reply, error)
	// Secret returns a secret that is granted to an object; nil: there are none. Redact takes
	// the tenant's secrets out of the first most bytes of a text for the log; nil changes nothing.
	Secret func(id object.ID, name string) (value string, ok bool)
	Redact func(text string, most int) string
	// Account counts what the tenant's processes spend; several backends may share one.
	Account *procstat.Processes // nil: nobody asks
	Budget  Budget              // of the bytes of the plugin's requests and their answers; nil: there is none
	Log     *slog.Logger        // nil discards
}

// Plugin is the [object.Backend] of one executable. Safe for concurrent use.
type Plugin struct {
	cfg Config

	mu       sync.Mutex // guards what follows
	pending  map[*pending]struct{}
	proc     *process   // nil: none is running
	attempt  *attempt   // not nil: one is being started
	old      []*process // stopping
	backoff  backoff.State
	setAside string   // the file as it was when it had crashed too often; "" if it has not
	refused  *refusal // nil: the file was not refused
	closed   bool
}

// refusal is a file that the host does not start.
type refusal struct {
	file string // as it was
	err  error
}

// attempt is a start under way.
type attempt struct {
	done  chan struct{}
	abort context.CancelFunc
	proc  *process
	err   error
}

// New returns a backend that has not started anything.
func New(cfg Config) *Plugin {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Idle <= 0 {
		cfg.Idle = 5 * time.Minute
	}
	if cfg.Account == nil {
		cfg.Account = new(procstat.Processes)
	}
	if cfg.Budget == nil {
		cfg.Budget = noBudget{}
	}
	cfg.Log = cfg.Log.With("tenant", string(cfg.ID.Tenant()))
	return &Plugin{cfg: cfg, pending: map[*pending]struct{}{}}
}

// rule says when a plugin that crashes is quarantined until its file changes or a while has
// passed.
var rule = backoff.Rule{Most: 5, Quarantine: 10 * time.Minute}

// live returns the running process, starting one if there is none. Whoever comes while it
// starts waits for the same one.
func (p *Plugin) live(ctx context.Context) (*process, error) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, object.ErrRetired
	}
	if pr := p.proc; pr != nil {
		p.mu.Unlock()
		return pr, nil
	}
	a := p.attempt
	if a == nil {
		if err := p.mayStartLocked(); err != nil {
			p.mu.Unlock()
			return nil, err
		}
		life, abort := context.WithCancel(context.Background())
		a = &attempt{done: make(chan struct{}), abort: abort}
		p.attempt = a
		// others wait for it too; it ends with the attempt, which is bounded in time; Close waits for it
		go p.start(life, a)
	}
	p.mu.Unlock()
	select {
	case <-a.done:
		return a.proc, a.err
	case <-ctx.Done():
		if err := withdrawn(ctx); err != nil {
			return nil, err
		}
		return nil, object.Errorf(object.CodeDeadline, "the plugin was still starting; not executed")
	}
}

func (p *Plugin) mayStartLocked() error {
	if p.refusedLocked() != nil {
		return p.refused.err
	}
	wait, aside := p.backoff.Wait()
	switch {
	case wait == 0:
		return nil
	case aside && p.setAside == p.file():
		return object.Errorf(object.CodeUnavailable,
			"the plugin %s crashed %d times in a row and is quarantined until its file changes, or for %s; not executed", p.cfg.ID, rule.Most, wait.Round(time.Second))
	case aside:
		p.backoff.Forgive()
		return nil
	}
	return object.Errorf(object.CodeUnavailable, "the plugin %s does not run and is started again in %s; not executed",
		p.cfg.ID, wait.Round(100*time.Millisecond))
}

// refusedLocked returns why the file, as it is now, is refused; nil if it is not, or was not looked at yet.
func (p *Plugin) refusedLocked() error {
	if p.refused != nil && p.refused.file != p.file() {
		p.refused = nil
	}
	if p.refused == nil {
		return nil
	}
	return errors.Unwrap(p.refused.err)
}

// file tells one version of the executable from the next.
func (p *Plugin) file() string {
	info, err := os.Stat(p.cfg.Path)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%d %v %v", info.Size(), info.ModTime().UnixNano(), info.Mode())
}

func (p *Plugin) start(ctx context.Context, a *attempt) {
	file := p.file()
	pr, err := start(ctx, p)
	p.mu.Lock()
	p.attempt = nil
	var why *binary.StartError
	switch {
	case errors.As(err, &why) && why.Refusal():
		p.cfg.Log.Error("plugin is refused: it is not started", "object", string(p.cfg.ID), "err", err)
		a.err = &object.Error{Code: object.CodeUnavailable,
			Msg: fmt.Sprintf("the plugin %s is refused until its file or the policy changes; not executed",
				p.cfg.ID), Err: err}
		p.refused = &refusal{file, a.err}
	case err != nil:
		p.cfg.Log.Error("plugin does not start", "object", string(p.cfg.ID), "err", err, "crashes",
			p.backoff.Crashes()+1)
		p.crashedLocked(0, err)
		a.err = &object.Error{Code: object.CodeUnavailable,
			Msg: fmt.Sprintf("the plugin %s does not start; not executed", p.cfg.ID), Err: err}
	default:
		a.proc, p.proc = pr, pr
	}
	select {
	case <-goneOf(pr): // already
		p.proc = nil
	default:
	}
	p.mu.Unlock()
	close(a.done)
}

// goneOf is a channel that is closed when a process, if any, is gone.
func goneOf(pr *process) <-chan struct{} {
	if pr == nil {
		return nil
	}
	return pr.run.Done()
}

func (p *Plugin) crashedLocked(ran time.Duration, cause error) {
	p.cfg.Account.Crashed()
	if p.backoff.Crashed(rule, ran, cause) {
		p.setAside = p.file()
		p.cfg.Log.Error("plugin is quarantined until its file changes", "object", string(p.cfg.ID), "crashes",
			rule.Most, "or_for", rule.Quarantine)
	}
}

// exited is told by a process that it has ended, once.
func (p *Plugin) exited(pr *process, cause error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.proc == pr {
		p.proc = nil
	}
	if p.closed || errors.Is(cause, errIdle) {
		p.cfg.Log.Info("plugin stopped", "object", string(p.cfg.ID), "err", cause)
		return
	}
	p.cfg.Log.Warn("plugin ended", "object", string(p.cfg.ID), "err", cause, "crashes", p.backoff.Crashes()+1)
	p.crashedLocked(time.Since(pr.started), cause)
}

// Status returns what the plugin is at.
func (p *Plugin) Status() backoff.Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	pid := 0
	if p.proc != nil {
		pid = p.proc.run.PID()
	}
	s := p.backoff.Status(pid)
	s.Refused = p.refusedLocked()
	return s
}

// retire takes an idle process out of use. It reports whether it was in use.
func (p *Plugin) retire(pr *process) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.proc != pr || !pr.idle() {
		return false
	}
	p.proc = nil
	p.old = append(slices.DeleteFunc(p.old, func(o *process) bool {
		select {
		case <-o.gone:
			return true
		default:
			return false
		}
	}), pr)
	return true
}

// Describe implements [object.Backend].
func (p *Plugin) Describe(ctx context.Context, id object.ID) (*object.Description, error) {
	pr, err := p.live(ctx)
	if err != nil {
		return nil, err
	}
	if d := pr.objects[id]; d != nil {
		return d, nil
	}
	return nil, errNoObject
}

var errNoObject = object.Errorf(object.CodeNotFound, "the plugin has no such object")

// Close ends the plugin, softly until ctx is done, and waits. It is idempotent.
func (p *Plugin) Close(ctx context.Context) error {
	p.mu.Lock()
	p.closed = true
	a := p.attempt
	p.mu.Unlock()
	if a != nil {
		a.abort()
		<-a.done
	}
	p.mu.Lock()
	all := slices.Clone(p.old)
	if p.proc != nil {
		all = append(all, p.proc)
	}
	p.mu.Unlock()
	for _, pr := range all {
		stop := context.AfterFunc(ctx, func() { pr.run.Fail(errors.New("the drain deadline passed")) })
		pr.stop(errClosed)
		<-pr.gone
		stop()
	}
	return nil
}
