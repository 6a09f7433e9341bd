// Package plugins runs executables as objects. A [Plugin] starts its executable on the first call, calls it by gRPC
// through go-plugin with mutual TLS, and answers its calls when it dies. It does not decode payloads. It trusts nothing
// from a plugin except replies to its own requests.
//
// A Plugin owns at most one process. Each process has three goroutines: one waits for the process on a dedicated
// thread, one copies its output, one checks its health. All end with the process. Close ends the process and waits for
// them. Package binary checks the executable, package launch runs the process.
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

// Config configures a plugin. ID, Path, Objects, Shim, Dir and one of SHA256 and Unpinned are required.
type Config struct {
	ID       object.ID
	Path     string
	SHA256   string      // hash of the file in lower-case hexadecimal
	Unpinned bool        // accept any content of the file; logged at each start
	Objects  []object.ID // objects it may serve: ID itself and names below it
	Shim     []string    // command that runs launch.Shim
	// Confine is the plugin's isolation; the zero value has all layers. Unconfined disables it: the plugin has all
	// rights of the host's user, which is logged at each start.
	Confine    confine.Program
	Unconfined bool
	Dir        string // folder for sockets, accessible to this user only
	// Idle is the time without a call after which a plugin without state is stopped; 0 means 5 minutes. A plugin has
	// no state if all its objects have mode "call".
	Idle time.Duration
	// ObjectCall authorizes and runs a call from one of the plugin's objects to another object. exclusive: the calling
	// object runs one call at a time.
	ObjectCall func(ctx context.Context, from object.ID, exclusive bool, c *object.Call) (object.Reply, error)
	// ErrorClass returns the bare class of the exception for an error, which plugins read; nil returns the Class of the
	// error.
	ErrorClass func(e *object.Error) string
	// Secret returns a secret that is granted to an object; nil grants none. Redact removes the tenant's secrets from
	// the first most bytes of a log text; nil removes nothing.
	Secret func(id object.ID, name string) (value string, ok bool)
	Redact func(text string, most int) string
	// Store is the durable state of the plugin's objects; nil: every operation fails.
	Store Store
	// Account counts the resources of the tenant's processes. Several backends may share one; nil counts nothing.
	Account *procstat.Processes
	Budget  Budget       // bytes of the plugin's requests and their answers; nil means no limit
	Log     *slog.Logger // nil discards
}

// Plugin is the [object.Backend] of an executable. It is safe for concurrent use.
type Plugin struct {
	cfg Config

	mu          sync.Mutex // guards the fields below
	pending     map[*pending]struct{}
	proc        *process   // running process, or nil
	attempt     *attempt   // running start, or nil
	stopping    []*process // processes that are stopping
	backoff     backoff.State
	quarantined string   // version of the file when it had crashed too often, or ""
	refused     *refusal // version of the file that is refused, or nil
	closed      bool
}

// refusal is a version of the file that the host refuses to start.
type refusal struct {
	file string // version
	err  error
}

// attempt is a start in progress.
type attempt struct {
	done  chan struct{}
	abort context.CancelFunc
	proc  *process
	err   error
}

// New returns a backend. It starts no process.
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

// rule limits crashes: after Most in a row the plugin is quarantined until its file changes or the time has passed.
var rule = backoff.Rule{MaxCrashes: 5, Quarantine: 10 * time.Minute}

// live returns the running process and starts one if needed. Concurrent callers wait for the same start.
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
		// Concurrent callers share the attempt, so it does not end with ctx. Its time is bounded. Close waits for it.
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
	wait, quarantined := p.backoff.Wait()
	switch {
	case wait == 0:
		return nil
	case quarantined && p.quarantined == p.file():
		return object.Errorf(object.CodeUnavailable,
			"the plugin %s crashed %d times in a row and is quarantined until its file changes, or for %s; "+
				"not executed",
			p.cfg.ID, rule.MaxCrashes, wait.Round(time.Second))
	case quarantined: // the file has changed
		p.backoff.Reset()
		return nil
	}
	return object.Errorf(object.CodeUnavailable, "the plugin %s does not run and is started again in %s; not executed",
		p.cfg.ID, wait.Round(100*time.Millisecond))
}

// refusedLocked returns the reason why the current file is refused; nil if it is not refused or was not checked yet.
func (p *Plugin) refusedLocked() error {
	if p.refused != nil && p.refused.file != p.file() {
		p.refused = nil
	}
	if p.refused == nil {
		return nil
	}
	return errors.Unwrap(p.refused.err)
}

// file returns a text that identifies the current version of the executable.
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
		a.err = &object.Error{
			Code: object.CodeUnavailable,
			Msg: fmt.Sprintf("the plugin %s is refused until its file or the policy changes; not executed",
				p.cfg.ID),
			Err: err,
		}
		p.refused = &refusal{file, a.err}
	case err != nil:
		p.cfg.Log.Error("plugin does not start",
			"object", string(p.cfg.ID), "err", err, "crashes", p.backoff.Crashes()+1)
		p.crashedLocked(0, err)
		a.err = &object.Error{
			Code: object.CodeUnavailable,
			Msg:  fmt.Sprintf("the plugin %s does not start; not executed", p.cfg.ID),
			Err:  err,
		}
	default:
		a.proc, p.proc = pr, pr
	}
	select {
	case <-doneOf(pr): // it has ended already
		p.proc = nil
	default:
	}
	p.mu.Unlock()
	close(a.done)
}

// doneOf returns a channel that is closed when the process has ended; nil for a nil process.
func doneOf(pr *process) <-chan struct{} {
	if pr == nil {
		return nil
	}
	return pr.run.Done()
}

func (p *Plugin) crashedLocked(ran time.Duration, cause error) {
	p.cfg.Account.Crashed()
	if p.backoff.Crashed(rule, ran, cause) {
		p.quarantined = p.file()
		p.cfg.Log.Error("plugin is quarantined until its file changes",
			"object", string(p.cfg.ID), "crashes", rule.MaxCrashes, "or_for", rule.Quarantine)
	}
}

// exited handles the end of a process. Each process calls it once.
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

// Status returns the state of the plugin's process.
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

// retire stops using an idle process. It reports whether the process was in use.
func (p *Plugin) retire(pr *process) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.proc != pr || !pr.idle() {
		return false
	}
	p.proc = nil
	p.stopping = append(slices.DeleteFunc(p.stopping, func(o *process) bool {
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

// Close ends the plugin, gracefully until ctx is done, and waits. It is idempotent.
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
	all := slices.Clone(p.stopping)
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
