// Package launch starts worker processes and keeps prewarmed ones.
//
// A [Process] is a started worker with the host's end of its link. It has no tenant and has received no frame: package
// supervise makes it the worker of a tenant. A [Pool] starts processes before a tenant needs them, and confines one by
// the tenant's limits when the tenant takes it. The frames of the link belong to package link.
package launch

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"sync"
	"time"

	"github.com/hearthhost/hearth/internal/nonblock"
	"github.com/hearthhost/hearth/internal/schedstat"
	"github.com/hearthhost/hearth/internal/socketpair"
	"github.com/hearthhost/hearth/sandbox/confine"
	"github.com/hearthhost/hearth/sandbox/confine/layer"
)

// Pool holds prewarmed worker processes. They are started, in their own namespaces, and wait for a tenant, whose limits
// confine them. A tenant's first call then does not wait for a process to start. A process goes to one tenant and never
// returns to the pool. Safe for concurrent use; a nil pool is empty.
type Pool struct {
	argv []string
	log  *slog.Logger

	mu      sync.Mutex // guards the fields below
	size    int        // number of processes that the pool keeps ready
	ready   []*Process
	filling bool // fill runs or is scheduled
	closed  bool
	fills   sync.WaitGroup
}

// refillPause delays the start of the next process: it would compete with the call that took the last one.
const refillPause = 100 * time.Millisecond

// NewPool returns an empty pool for size processes of the command argv.
func NewPool(argv []string, size int, log *slog.Logger) *Pool {
	return &Pool{argv: argv, size: size, log: log}
}

// Fill starts processes in the background, and keeps the pool filled until Close.
func (p *Pool) Fill() {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refillLocked(0)
}

// Ready returns the process ids of the pool.
func (p *Pool) Ready() []int {
	if p == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	pids := make([]int, len(p.ready))
	for i, w := range p.ready {
		pids[i] = w.cmd.Process.Pid
	}
	return pids
}

// refillLocked schedules fill after a pause, if the pool is not full.
func (p *Pool) refillLocked(pause time.Duration) {
	if p.filling || p.closed || len(p.ready) >= p.size {
		return
	}
	p.filling = true
	p.fills.Add(1)
	time.AfterFunc(pause, p.fill)
}

// fill starts processes until the pool is full. After a failed start, the next Take schedules it again.
func (p *Pool) fill() {
	defer p.fills.Done()
	for p.needsMore() {
		w, err := spawn(p.argv, confine.Prepare)
		p.mu.Lock()
		switch refused := new(layer.Error); {
		case err == nil && !p.closed:
			p.ready = append(p.ready, w)
			w = nil
		case errors.As(err, &refused):
			p.size = 0 // this machine cannot confine workers: the start of a tenant's worker reports why
		case err != nil:
			p.filling = false
			p.log.Warn("cannot start a prewarmed worker: first calls of tenants take longer", "err", err)
		}
		again := p.filling
		p.mu.Unlock()
		if w != nil {
			w.Drop()
		}
		if !again {
			return
		}
	}
}

// needsMore reports whether fill starts another process, and records that in filling.
func (p *Pool) needsMore() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.filling = !p.closed && len(p.ready) < p.size
	return p.filling
}

// Take returns a process, confined by spec. It returns nil if the pool is empty or the process cannot be confined.
func (p *Pool) Take(spec confine.Spec) *Process {
	if p == nil {
		return nil
	}
	for w := p.pop(); w != nil; w = p.pop() {
		err := w.worker.Confine(spec)
		if err == nil {
			return w
		}
		w.Conn.Close()
		if refused := new(layer.Error); errors.As(err, &refused) {
			return nil // a new process fails likewise and reports why
		}
		p.log.Warn("cannot confine a prewarmed worker: it is ended", "err", err)
	}
	return nil
}

// pop returns a process, nil if the pool is empty, and schedules the start of another one.
func (p *Pool) pop() (w *Process) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.ready); n > 0 {
		w = p.ready[n-1]
		p.ready = p.ready[:n-1]
	}
	p.refillLocked(refillPause)
	return w
}

// Close ends the processes of the pool. It is idempotent.
func (p *Pool) Close() {
	if p == nil {
		return
	}
	p.mu.Lock()
	p.closed = true
	all := p.ready
	p.ready = nil
	p.mu.Unlock()
	p.fills.Wait()
	for _, w := range all {
		w.Drop()
	}
}

// Process is a started worker process that has received no frame.
type Process struct {
	cmd    *exec.Cmd
	worker *confine.Worker  // waits for cmd
	Conn   *nonblock.Socket // the host's end of the link
	Stderr io.Reader
}

// Start starts a worker of the command argv, confined by spec.
func Start(argv []string, spec confine.Spec) (*Process, error) {
	return spawn(argv, func(cmd *exec.Cmd) (*confine.Worker, error) { return confine.Start(cmd, spec) })
}

// Layers returns the layers of the worker's confinement.
func (w *Process) Layers() []layer.Layer { return w.worker.Layers }

// oneThread is the environment of a worker, which runs Lua on one thread at a time. From the start, the runtime makes
// its structures for one thread only, and it does not read the files of the control group. A worker sets the same value
// itself.
const oneThread = "GOMAXPROCS=1"

// spawn starts a worker's command through launch.
func spawn(argv []string, launch func(*exec.Cmd) (*confine.Worker, error)) (*Process, error) {
	file, theirs, err := socketpair.Files()
	if err != nil {
		return nil, fmt.Errorf("making a worker's socket: %w", err)
	}
	defer theirs.Close()
	ours, err := nonblock.NewSocket(file)
	if err != nil {
		return nil, fmt.Errorf("making a worker's socket: %w", err)
	}
	cmd := exec.Command(argv[0], argv[1:]...) //nolint:gosec,noctx // the host's own executable; the pool ends it
	cmd.Args[0] = "hearth"                    // its name in lists of processes
	cmd.Env = []string{oneThread}
	cmd.Dir = "/"
	cmd.ExtraFiles = []*os.File{theirs}
	w := &Process{cmd: cmd, Conn: ours}
	if w.Stderr, err = cmd.StderrPipe(); err == nil {
		w.worker, err = launch(cmd)
	}
	if err != nil {
		ours.Close()
		return nil, err
	}
	return w, nil
}

// PID returns the process id.
func (w *Process) PID() int { return w.cmd.Process.Pid }

// Kill kills the process.
func (w *Process) Kill() { _ = w.cmd.Process.Kill() }

// Times returns the processor times of the process. ok is false if the system does not report them.
func (w *Process) Times() (t schedstat.Times, ok bool) { return schedstat.Read(w.PID()) }

// Wait waits for the end of the process. It is called once.
func (w *Process) Wait() (*os.ProcessState, error) {
	err := w.worker.Wait()
	return w.cmd.ProcessState, err
}

// Drop ends a process without a tenant.
func (w *Process) Drop() {
	w.worker.End()
	w.Conn.Close()
}
