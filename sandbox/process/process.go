// Package process is the host's side of one worker process. It starts the process, sends it requests over a link, and
// answers the open requests when it ends. It never decodes a payload. It trusts the process only to answer requests: a
// process that breaks the protocol is ended.
//
// A process has one reader goroutine, which ends with the socket, waits for the process, and answers the open requests.
// Another goroutine stops the process when it is idle. A request belongs to the goroutine that waits for its reply, see
// [pending]. A host call runs in its own goroutine, see package hostcall.
package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hearthhost/hearth/internal/loop"
	"github.com/hearthhost/hearth/internal/nonblock"
	"github.com/hearthhost/hearth/internal/procstat"
	"github.com/hearthhost/hearth/internal/schedstat"
	"github.com/hearthhost/hearth/internal/spin"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/confine"
	"github.com/hearthhost/hearth/sandbox/hostcall"
	"github.com/hearthhost/hearth/sandbox/launch"
	"github.com/hearthhost/hearth/sandbox/link"
	"github.com/hearthhost/hearth/sandbox/script"
	"github.com/hearthhost/hearth/sandbox/scriptlog"
)

// Config is the configuration of a tenant's processes.
type Config struct {
	Tenant object.Tenant
	Argv   []string // command of a worker, which finds its link at descriptor 3
	// Confine is how the operating system confines the worker. Its zero value requires every layer except a separate
	// uid and a control group.
	Confine confine.Spec
	// Services are the services of the host that the tenant's objects can use, at most one of each number. A worker
	// that requests another one is ended.
	Services []hostcall.Service
	// Account counts the resources of the tenant's processes; several tenants may share one.
	Account *procstat.Processes // nil: not counted
	Loop    *loop.Loop          // reads the link; nil: a goroutine of each process does
	Pool    *launch.Pool        // prewarmed processes of Argv; several tenants may share it; nil: none
	Log     *slog.Logger        // nil discards
	Budget  hostcall.Budget     // bytes of the objects' host calls in flight; nil: no limit
	Idle    time.Duration       // time without calls after which a worker without state is stopped; 0: DefaultIdle
}

// WithDefaults returns c with a value for each field that may be missing.
func (c Config) WithDefaults() Config {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Account == nil {
		c.Account = new(procstat.Processes)
	}
	if c.Idle <= 0 {
		c.Idle = DefaultIdle
	}
	return c
}

// Owner is the tenant of a process. Its methods are safe for concurrent use. A process calls Version, Versions, Secrets
// and Redact while it holds its locks: they do not call the process.
type Owner interface {
	// Version returns the version of an object that is in use, nil if the tenant has no such object.
	Version(id object.ID) *script.Version
	// Versions returns all versions in use. The map is not modified.
	Versions() map[object.ID]*script.Version
	// Secrets returns the granted secrets of an object by name. ok is false if it never had a secret.
	Secrets(id object.ID) (values map[string]string, ok bool)
	// Redact returns a text of the worker without secrets, in at most [link.MaxLogLineBytes] bytes.
	Redact(text string) string
	// Retire takes an idle process out of use. It calls stop while it gives out no process, and returns the result of
	// stop. It returns false if p is not in use.
	Retire(p *Process, stop func() bool) bool
	// Exited reports the end of a process and its cause. It is called once, after [Process.Gone] returns true and
	// before [Process.Done] is closed.
	Exited(p *Process, cause error)
}

// System is the process of a worker in the operating system.
type System interface {
	PID() int
	Kill()
	// Times returns the processor times of the process. ok is false if the system does not report them.
	Times() (t schedstat.Times, ok bool)
	Wait() (*os.ProcessState, error) // is called once
}

// Conn is the host's end of a link, for example a [nonblock.Socket].
type Conn interface {
	io.WriteCloser
	syscall.Conn
}

// Process is one running worker. Safe for concurrent use.
type Process struct {
	cfg       Config
	owner     Owner
	system    System
	conn      Conn
	out       *link.Writer
	in        *link.Reader
	hostCalls *hostcall.Table
	serial    uint64 // number of this process in the host, see streamID
	started   time.Time
	gone      atomic.Bool        // the process has ended
	done      chan struct{}      // closed when the process has been waited for
	ctx       context.Context    // ends with the process
	cancel    context.CancelFunc // ends ctx
	log       *scriptlog.Log     // owned by the reader
	pendings  sync.Pool          // unused *pending

	toFlush atomic.Bool // frames of Start wait for the end of a loop's round
	flush   func()      // flushStaged
	ready   func()      // Ready(true)

	socketEnd chan error // receives the end of the socket from the loop
	endOnce   sync.Once
	stopWatch func() // ends the loop's watching of the socket; nil without a loop

	polls    bool        // the link can be read without waiting
	spinning atomic.Bool // a goroutine is in spinWait; guards spin
	spin     spin.Spin

	afterFunc func(d time.Duration, f func()) // time.AfterFunc; replaced in tests

	mu           sync.Mutex // guards the fields below
	pending      map[uint64]*pending
	bytes        int // payloads of the pending calls
	last         uint64
	pinged       time.Time // time of the last ping; zero: it was answered
	unanswered   silence   // since the last ping, while pinged is set
	pings        uint64
	overdue      map[uint64]overdueCall
	unresponsive bool                          // the host has given up a call because the worker does not answer pings
	resultBytes  int                           // longest result that any of its versions may return
	sweeping     bool                          // sweep is scheduled
	retired      bool                          // the process gets no more requests
	maxDurations map[object.ID]time.Duration   // longest limit of each object that the worker has received
	active       map[object.ID]*script.Version // versions in use in the worker
	staged       map[*script.Version]bool      // versions that are loaded in the worker and not in use
	libs         map[*script.Libs]bool         // modules that the worker has
	cause        error                         // why the process was ended or exited; set once
}

var serials atomic.Uint64

// Start starts a worker, or takes one of the pool. It has no objects yet. The configuration has its defaults.
func Start(cfg Config, owner Owner) (*Process, error) {
	w := cfg.Pool.Take(cfg.Confine)
	if w == nil {
		var err error
		w, err = launch.Start(cfg.Argv, cfg.Confine)
		if err != nil {
			return nil, fmt.Errorf("starting a worker of tenant %s: %w", cfg.Tenant, err)
		}
	}
	p, err := Attach(cfg, owner, w, w.Conn, w.Stderr)
	if err != nil {
		w.Drop()
		return nil, err
	}
	cfg.Log.Info("worker started", "pid", p.PID())
	for _, l := range w.Layers() {
		if l.Required && !l.Holds {
			cfg.Log.Warn("worker is weakened", "layer", l.Name, "reason", l.Reason)
		}
	}
	return p, nil
}

// Attach returns the host's side of a worker that has started and has received no frame, and serves it. stderr has the
// lines that the worker's runtime prints.
func Attach(cfg Config, owner Owner, system System, conn Conn, stderr io.Reader) (*Process, error) {
	p, err := newProcess(cfg, owner, system, conn)
	if err != nil {
		return nil, err
	}
	go p.read(stderr)
	go p.retireWhenIdle()
	return p, nil
}

// newProcess is Attach without the goroutines of the process.
func newProcess(cfg Config, owner Owner, system System, conn Conn) (*Process, error) {
	p := &Process{
		cfg:          cfg,
		owner:        owner,
		system:       system,
		conn:         conn,
		out:          link.NewWriter(conn),
		serial:       serials.Add(1) & (1<<24 - 1),
		started:      time.Now(),
		done:         make(chan struct{}),
		resultBytes:  object.DefaultMessageBytes,
		pending:      map[uint64]*pending{},
		overdue:      map[uint64]overdueCall{},
		maxDurations: map[object.ID]time.Duration{},
		active:       map[object.ID]*script.Version{},
		staged:       map[*script.Version]bool{},
		libs:         map[*script.Libs]bool{},
		afterFunc:    func(d time.Duration, f func()) { time.AfterFunc(d, f) },
	}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.hostCalls = hostcall.New(p.ctx, hostcall.Config{
		Tenant:   cfg.Tenant,
		Services: cfg.Services,
		Budget:   cfg.Budget,
	}, hostCaller{p})
	p.log = newLog(cfg, owner)
	p.pendings.New = newPending
	var err error
	if p.in, err = link.NewReader(conn, p.frame); err != nil {
		return nil, err
	}
	p.in.Limit(link.FrameBytes(max(p.resultBytes, link.MinMessageBytes)))
	p.flush, p.ready = p.flushStaged, func() { p.Ready(true) }
	socket, ok := conn.(*nonblock.Socket)
	p.polls = ok
	if ok && cfg.Loop != nil {
		if err := p.watch(socket); err != nil {
			return nil, err
		}
	}
	cfg.Account.Started(p.PID())
	return p, nil
}

// newLog returns the log of a process.
func newLog(cfg Config, owner Owner) *scriptlog.Log {
	return scriptlog.New(scriptlog.Config{
		Out:     cfg.Log,
		Account: cfg.Account,
		Redact:  owner.Redact,
		Lines: func(id object.ID) int {
			if v := owner.Version(id); v != nil {
				return v.Limits.LogLines
			}
			return object.Limits{}.WithDefaults().LogLines // it was removed while it runs
		},
	})
}

// PID returns the process id of the worker.
func (p *Process) PID() int { return p.system.PID() }

// Started returns the time at which the process was started, or taken from the pool.
func (p *Process) Started() time.Time { return p.started }

// Done returns a channel that is closed when the process has been waited for and its owner has received its end.
func (p *Process) Done() <-chan struct{} { return p.done }

// Gone reports whether the process has ended. Its owner has received the end, or receives it next.
func (p *Process) Gone() bool { return p.gone.Load() }

// read handles the worker's frames until the socket ends. Then it waits for the process and answers the open requests.
func (p *Process) read(stderr io.Reader) {
	printed := make(chan string, 1)
	go func() { printed <- p.relay(stderr) }() // ends with the worker's stderr, at the latest with the worker
	err := p.run()
	if errors.Is(err, io.EOF) {
		err = errors.New("the worker closed its socket")
	}
	p.Kill(err)
	p.log.Close()
	first := <-printed
	state, failed := p.system.Wait()
	p.cfg.Account.Ended(p.PID(), state)
	p.mu.Lock()
	cause := p.cause
	open := p.pending
	p.pending, p.bytes = nil, 0
	p.mu.Unlock()
	if failed != nil {
		cause = fmt.Errorf("%w (%w%s)", cause, failed, exitReason(first))
	}
	p.cancel()
	p.gone.Store(true)
	p.owner.Exited(p, cause)
	close(p.done)
	sent := p.out.Sent()
	for _, w := range open {
		if w.end.Load() > sent {
			p.finish(w, ErrEnded)
			continue
		}
		p.finish(w, &object.Error{Code: object.CodeUnavailable,
			Msg: "the worker ended during the call; whether it was executed is unknown", Err: cause})
	}
}

// watch lets the tenant's loop read the socket.
func (p *Process) watch(socket *nonblock.Socket) error {
	fd, err := socket.Descriptor()
	if err == nil {
		p.socketEnd = make(chan error, 1)
		p.stopWatch, err = p.cfg.Loop.Watch(fd, p)
	}
	return err
}

// Ready implements [loop.Handler].
func (p *Process) Ready(end bool) {
	more, err := p.in.Drain(end)
	switch {
	case err != nil:
		p.end(err)
	case more:
		p.cfg.Loop.Post(p.ready)
	}
}

func (p *Process) end(err error) {
	p.endOnce.Do(func() {
		p.stopWatch()
		p.socketEnd <- err
	})
}

// run handles frames until the socket ends, here or in the loop.
func (p *Process) run() error {
	if p.stopWatch == nil {
		return p.in.Run(false)
	}
	p.cfg.Loop.Post(p.ready) // frames may have come before the loop watched
	return <-p.socketEnd
}

// Stop lets the process finish its requests and exit.
func (p *Process) Stop() { p.send(link.Stop, 0) }

// Kill ends the process. The first cause is kept.
func (p *Process) Kill(cause error) {
	p.mu.Lock()
	if p.cause == nil {
		p.cause = cause
	}
	p.mu.Unlock()
	p.system.Kill()
	if p.stopWatch != nil {
		p.end(os.ErrClosed)
	}
	_ = p.conn.Close()
}

// frame handles one frame of the worker. An error ends the worker: it broke the protocol.
func (p *Process) frame(typ link.Type, id uint64, body []byte) error {
	d := &link.Decoder{B: body}
	switch typ {
	case link.Reply:
		p.answer(id, d)
	case link.Described:
		if len(body) > link.MaxDescribedBytes {
			return fmt.Errorf(
				"link: the worker describes an object in %d bytes, at most %d are allowed",
				len(body), link.MaxDescribedBytes)
		}
		p.answer(id, d)
	case link.Pong:
		return p.pong(id, d)
	case link.Withdrawn:
		return p.withdrawn(id)
	case link.HostCall:
		return p.hostCall(id, d, body)
	case link.Cancel:
		p.hostCalls.Cancel(id)
	default:
		return fmt.Errorf("link: the worker sent a frame of type %d", typ)
	}
	return d.Err
}
