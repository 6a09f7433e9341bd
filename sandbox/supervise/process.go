package supervise

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/confine"
	"github.com/hearthhost/hearth/sandbox/link"
)

// osProcess is the operating system's process behind a worker.
type osProcess interface {
	PID() int
	Kill()
	Wait() (*os.ProcessState, error) // once
}

// conn is the host's end of a link, for example a [nonblock.Socket].
type conn interface {
	io.WriteCloser
	syscall.Conn
}

// process is one live worker.
type process struct {
	t *Tenant
	osProcess
	conn      conn // the host's end of the link
	out       *link.Writer
	in        *link.Reader
	serial    uint64 // tells this process from those before it
	started   time.Time
	done      chan struct{}      // closed when the process has been waited for
	ctx       context.Context    // of calls that its scripts make; ends with the process
	cancel    context.CancelFunc // ends ctx
	hostSlots chan struct{}      // a token for each host call in flight

	logged logCounts // lines of scripts; the reader's own
	failed logCounts // lines about calls that failed; likewise: callers cannot crowd out what a script logs
	gone   bool      // it has ended; guarded by t.mu

	spinning atomic.Bool // somebody looks for a reply; guards spin
	spin     link.Spin

	afterFunc func(d time.Duration, f func()) // runs f after d; tests sweep at times of their own

	mu           sync.Mutex // guards the fields below
	pending      map[uint64]*pending
	bytes        int // payload of the pending calls
	last         uint64
	pinged       time.Time // when the last ping was sent; zero: it was answered
	pings        uint64
	overdue      map[uint64]overdueCall
	unresponsive bool                        // a call was given up since the worker does not answer pings
	resultBytes  int                         // the longest result that any of its versions may give, in bytes
	sweeping     bool                        // sweep will run
	retired      bool                        // it takes no more requests
	maxDurations map[object.ID]time.Duration // every object of which it has a version, with the longest wall limit of these
	active       map[object.ID]*Version      // in use in the worker
	staged       map[*Version]bool           // loaded there, and not in use
	libs         map[*Libs]bool              // known there
	hostCalls    map[uint64]*hostCall        // in flight, by the worker's id
	cause        error                       // why it was ended or died; set once
}

// maxLogLine bounds what is kept of a line that a worker prints on its own.
const maxLogLine = 4 << 10

// maxLogLines bounds how many such lines are kept of one worker: the reason of a crash
// comes first.
const maxLogLines = 20

var serials atomic.Uint64

// start runs a worker, which knows nothing yet.
func start(t *Tenant) (*process, error) {
	w := t.cfg.Pool.take(t.cfg.Confine)
	if w == nil {
		var err error
		w, err = spawn(t.cfg.Argv, func(cmd *exec.Cmd) (*confine.Worker, error) { return confine.Start(cmd, t.cfg.Confine) })
		if err != nil {
			return nil, fmt.Errorf("starting a worker of tenant %s: %w", t.cfg.Tenant, err)
		}
	}
	p, err := newProcess(t, w, w.conn)
	if err != nil {
		w.drop()
		return nil, err
	}
	go p.read(w.stderr)
	go p.retireWhenIdle()
	t.cfg.Log.Info("worker started", "pid", p.PID())
	for _, l := range w.worker.Layers {
		if l.Required && !l.Holds {
			t.cfg.Log.Warn("worker is weakened", "layer", l.Name, "reason", l.Reason)
		}
	}
	return p, nil
}

// newProcess returns the host's side of a worker that has started and has received nothing.
func newProcess(t *Tenant, l osProcess, conn conn) (*process, error) {
	p := &process{t: t, osProcess: l, overdue: map[uint64]overdueCall{}, conn: conn, out: link.NewWriter(conn), serial: serials.Add(1) & (1<<24 - 1),
		started: time.Now(), done: make(chan struct{}), hostSlots: make(chan struct{}, maxHostCalls),
		resultBytes: object.DefaultMessageBytes, pending: map[uint64]*pending{}, maxDurations: map[object.ID]time.Duration{},
		active: map[object.ID]*Version{}, staged: map[*Version]bool{}, libs: map[*Libs]bool{},
		logged: logCounts{}, failed: logCounts{}, hostCalls: map[uint64]*hostCall{},
		afterFunc: func(d time.Duration, f func()) { time.AfterFunc(d, f) }}
	var err error
	if p.in, err = link.NewReader(conn, p.frame); err != nil {
		return nil, err
	}
	p.in.Limit(link.FrameBytes(p.resultBytes))
	t.cfg.Account.Started(p.PID())
	p.ctx, p.cancel = context.WithCancel(context.Background())
	return p, nil
}

// read handles the worker's frames until the socket ends, then waits for the process
// and answers everything that is still open.
func (p *process) read(stderr io.Reader) {
	printed := make(chan string, 1)
	go func() { printed <- p.relay(stderr) }() // ends when the worker's stderr does, at the latest with the worker
	err := p.in.Run(false)
	if errors.Is(err, io.EOF) {
		err = errors.New("the worker closed its socket")
	}
	p.kill(err)
	p.logDropped()
	first := <-printed
	state, failed := p.Wait()
	p.t.cfg.Account.Ended(p.PID(), state)
	p.mu.Lock()
	cause := p.cause
	open := p.pending
	p.pending, p.bytes = nil, 0
	p.mu.Unlock()
	if failed != nil {
		cause = fmt.Errorf("%w (%w%s)", cause, failed, exitReason(first))
	}
	p.cancel()
	p.t.exited(p, cause)
	close(p.done)
	sent := p.out.Sent()
	for _, w := range open {
		if w.end.Load() > sent {
			w.finish(errProcessEnded)
			continue
		}
		w.finish(&object.Error{Code: object.CodeUnavailable,
			Msg: "the worker ended during the call; whether it was executed is unknown", Err: cause})
	}
}

// kill ends the process. The first cause stays.
func (p *process) kill(cause error) {
	p.mu.Lock()
	if p.cause == nil {
		p.cause = cause
	}
	p.mu.Unlock()
	p.Kill()
	p.conn.Close()
}

// relay copies what a worker prints, which only its runtime does, to the log. It returns the
// first line.
func (p *process) relay(r io.Reader) (first string) {
	lines := bufio.NewReaderSize(r, maxLogLine)
	for n := 0; ; n++ {
		line, _, err := lines.ReadLine()
		if err != nil {
			if n > maxLogLines {
				p.t.cfg.Log.Warn("worker printed more than is kept", "lines", n-maxLogLines)
			}
			return first
		}
		text := ""
		if n < maxLogLines {
			text = p.t.redact(string(line))
			p.t.cfg.Log.Warn("worker printed", "line", text)
		}
		if n == 0 {
			first = text
		}
	}
}

// maxLastWords bounds what of a worker's last words stands in the cause of its end.
const maxLastWords = 200

// exitReason makes of the first line that a worker printed, which is what its runtime died of,
// the end of the cause of its end.
func exitReason(line string) string {
	if line == "" {
		return ""
	}
	if strings.Contains(line, "out of memory") || strings.Contains(line, "cannot allocate memory") {
		return `, out of memory: limits { memory = "…" } of the tenant is what it may have, object_memory what each object may`
	}
	return ", " + strings.ToValidUTF8(line[:min(len(line), maxLastWords)], "")
}

// frame takes one frame of the worker. An error ends the worker: it broke the protocol.
func (p *process) frame(typ link.Type, id uint64, body []byte) error {
	d := &link.Decoder{B: body}
	switch typ {
	case link.Reply:
		p.answer(id, d)
	case link.Described:
		if len(body) > link.MaxDescribedBytes {
			return fmt.Errorf("link: the worker describes an object in %d bytes, at most %d are allowed", len(body), link.MaxDescribedBytes)
		}
		p.answer(id, d)
	case link.Pong:
		return p.pong(id, d)
	case link.Withdrawn:
		return p.withdrawn(id)
	case link.HostCall:
		return p.hostCall(id, d, body)
	case link.Cancel:
		p.cancelHostCall(id)
	default:
		return fmt.Errorf("link: the worker sent a frame of type %d", typ)
	}
	return d.Err
}
