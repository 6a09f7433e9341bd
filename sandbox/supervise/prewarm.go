package supervise

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
	"github.com/hearthhost/hearth/internal/socketpair"
	"github.com/hearthhost/hearth/sandbox/confine"
)

// Pool holds worker processes that have been started and belong to nobody yet: they wait,
// in namespaces of their own, to be told whose they are and to be confined. A tenant's first
// call then does not wait for a process to start. Safe for concurrent use; nil holds none.
//
// A spare goes to one tenant and never comes back.
type Pool struct {
	argv []string
	log  *slog.Logger

	mu      sync.Mutex // guards what follows
	size    int
	ready   []*workerProcess
	filling bool // fill runs, or is about to
	closed  bool
	fills   sync.WaitGroup
}

// refillPause keeps the start of the next spare away from the call that took the last one.
const refillPause = 100 * time.Millisecond

// NewPool returns spares that will hold up to so many processes of a worker's command.
func NewPool(argv []string, most int, log *slog.Logger) *Pool {
	return &Pool{argv: argv, size: most, log: log}
}

// Fill has spares started on the side, until Close.
func (s *Pool) Fill() {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refill(0)
}

// Ready returns the process ids of the spares.
func (s *Pool) Ready() []int {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	pids := make([]int, len(s.ready))
	for i, w := range s.ready {
		pids[i] = w.cmd.Process.Pid
	}
	return pids
}

// refill has spares started after a pause, if there is room; callers hold mu.
func (s *Pool) refill(pause time.Duration) {
	if s.filling || s.closed || len(s.ready) >= s.size {
		return
	}
	s.filling = true
	s.fills.Add(1)
	time.AfterFunc(pause, s.fill)
}

// fill starts processes until there are enough. If one cannot be, the next that is taken
// has it tried again.
func (s *Pool) fill() {
	defer s.fills.Done()
	for s.needsMore() {
		w, err := spawn(s.argv, confine.Prepare)
		s.mu.Lock()
		switch refused := new(confine.LayerError); {
		case err == nil && !s.closed:
			s.ready = append(s.ready, w)
			w = nil
		case errors.As(err, &refused):
			s.size = 0 // not on this machine: the tenants' own starts say why
		case err != nil:
			s.filling = false
			s.log.Warn("no worker could be started in advance: a tenant's first call takes longer", "err", err)
		}
		again := s.filling
		s.mu.Unlock()
		if w != nil {
			w.drop()
		}
		if !again {
			return
		}
	}
}

// needsMore reports whether fill goes on, and notes it.
func (s *Pool) needsMore() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.filling = !s.closed && len(s.ready) < s.size
	return s.filling
}

// take returns a spare confined by spec, nil if there is none that can be.
func (s *Pool) take(spec confine.Spec) *workerProcess {
	if s == nil {
		return nil
	}
	for w := s.pop(); w != nil; w = s.pop() {
		err := w.worker.Confine(spec)
		if err == nil {
			return w
		}
		w.conn.Close()
		if refused := new(confine.LayerError); errors.As(err, &refused) {
			return nil // so will the next be, and says why
		}
		s.log.Warn("a worker that was started in advance is of no use", "err", err)
	}
	return nil
}

// pop returns a spare, nil if there is none, and has another started.
func (s *Pool) pop() (w *workerProcess) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.ready); n > 0 {
		w = s.ready[n-1]
		s.ready = s.ready[:n-1]
	}
	s.refill(refillPause)
	return w
}

// Close ends the processes that nobody has taken. It is idempotent.
func (s *Pool) Close() {
	if s == nil {
		return
	}
	s.mu.Lock()
	s.closed = true
	all := s.ready
	s.ready = nil
	s.mu.Unlock()
	s.fills.Wait()
	for _, w := range all {
		w.drop()
	}
}

// workerProcess is a worker process that nothing has been said to on its link.
type workerProcess struct {
	cmd    *exec.Cmd
	worker *confine.Worker  // waits for cmd
	conn   *nonblock.Socket // the host's end of the link
	stderr io.Reader
}

// spawn starts a worker's command by launch.
func spawn(argv []string, launch func(*exec.Cmd) (*confine.Worker, error)) (*workerProcess, error) {
	file, theirs, err := socketpair.Files()
	if err != nil {
		return nil, fmt.Errorf("making a worker's socket: %w", err)
	}
	defer theirs.Close()
	ours, err := nonblock.NewSocket(file)
	if err != nil {
		return nil, fmt.Errorf("making a worker's socket: %w", err)
	}
	cmd := exec.Command(argv[0], argv[1:]...) //nolint:gosec,noctx // the host's own executable, which lives as long as it is needed
	cmd.Args[0] = "hearth"                    // whatever name it is found by
	cmd.Env = []string{}                      // not nil, which would mean ours
	cmd.Dir = "/"
	cmd.ExtraFiles = []*os.File{theirs}
	w := &workerProcess{cmd: cmd, conn: ours}
	if w.stderr, err = cmd.StderrPipe(); err == nil {
		w.worker, err = launch(cmd)
	}
	if err != nil {
		ours.Close()
		return nil, err
	}
	return w, nil
}

// PID implements life.
func (w *workerProcess) PID() int { return w.cmd.Process.Pid }

// Kill implements life.
func (w *workerProcess) Kill() { _ = w.cmd.Process.Kill() }

// Wait implements life.
func (w *workerProcess) Wait() (*os.ProcessState, error) {
	err := w.worker.Wait()
	return w.cmd.ProcessState, err
}

// drop ends a process that serves nobody yet.
func (w *workerProcess) drop() {
	w.worker.End()
	w.conn.Close()
}
