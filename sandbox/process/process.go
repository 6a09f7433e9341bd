package supervise

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hearthhost/hearth/internal/nonblock"
	"github.com/hearthhost/hearth/internal/spin"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/hostcall"
	"github.com/hearthhost/hearth/sandbox/launch"
	"github.com/hearthhost/hearth/sandbox/link"
	"github.com/hearthhost/hearth/sandbox/script"
	"github.com/hearthhost/hearth/sandbox/scriptlog"
)

// osProcess is the process of a worker in the operating system.
type osProcess interface {
	PID() int
	Kill()
	Wait() (*os.ProcessState, error) // is called once
}

// conn is the host's end of a link, for example a [nonblock.Socket].
type conn interface {
	io.WriteCloser
	syscall.Conn
}

// process is one running worker.
type process struct {
	t *Tenant
	osProcess
	conn      conn // the host's end of the link
	out       *link.Writer
	in        *link.Reader
	hostCalls *hostcall.Table
	serial    uint64 // number of this process in the host, see streamID
	started   time.Time
	done      chan struct{}      // closed when the process has been waited for
	ctx       context.Context    // ends with the process
	cancel    context.CancelFunc // ends ctx

	log  *scriptlog.Log // owned by the reader
	gone bool           // the process has ended; guarded by t.mu

	toFlush atomic.Bool // frames of Start wait for the end of a loop's round
	flush   func()      // flushStaged
	ready   func()      // Ready(true)

	socketEnd chan error // receives the end of the socket from the loop
	endOnce   sync.Once
	stopWatch func() // ends the loop's watching of the socket; nil without a loop

	spinning atomic.Bool // a goroutine is in spinWait; guards spin
	spin     spin.Spin

	afterFunc func(d time.Duration, f func()) // time.AfterFunc; replaced in tests

	mu           sync.Mutex // guards the fields below
	pending      map[uint64]*pending
	bytes        int // payloads of the pending calls
	last         uint64
	pinged       time.Time // time of the last ping; zero: it was answered
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

// maxLogLine bounds a line that a worker's runtime prints, in bytes. The rest is dropped.
const maxLogLine = 4 << 10

// maxLogLines bounds the number of such lines per worker. The reason of a crash comes first.
const maxLogLines = 20

var serials atomic.Uint64

// start starts a worker, or takes one of the pool. It has no objects yet.
func start(t *Tenant) (*process, error) {
	w := t.cfg.Pool.Take(t.cfg.Confine)
	if w == nil {
		var err error
		w, err = launch.Start(t.cfg.Argv, t.cfg.Confine)
		if err != nil {
			return nil, fmt.Errorf("starting a worker of tenant %s: %w", t.cfg.Tenant, err)
		}
	}
	p, err := newProcess(t, w, w.Conn)
	if err != nil {
		w.Drop()
		return nil, err
	}
	go p.read(w.Stderr)
	go p.retireWhenIdle()
	t.cfg.Log.Info("worker started", "pid", p.PID())
	for _, l := range w.Layers() {
		if l.Required && !l.Holds {
			t.cfg.Log.Warn("worker is weakened", "layer", l.Name, "reason", l.Reason)
		}
	}
	return p, nil
}

// newProcess returns the host's side of a worker that has started and has received no frame.
func newProcess(t *Tenant, l osProcess, conn conn) (*process, error) {
	p := &process{
		t:            t,
		osProcess:    l,
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
		Tenant:   t.cfg.Tenant,
		Services: t.cfg.Services,
		Budget:   t.cfg.Budget,
	}, hostCaller{p})
	p.log = newLog(t)
	var err error
	if p.in, err = link.NewReader(conn, p.frame); err != nil {
		return nil, err
	}
	p.in.Limit(link.FrameBytes(max(p.resultBytes, link.MinMessageBytes)))
	p.flush, p.ready = p.flushStaged, func() { p.Ready(true) }
	if err := p.watch(conn); err != nil {
		return nil, err
	}
	t.cfg.Account.Started(p.PID())
	return p, nil
}

// newLog returns the log of a tenant's process.
func newLog(t *Tenant) *scriptlog.Log {
	return scriptlog.New(scriptlog.Config{
		Out:     t.cfg.Log,
		Account: t.cfg.Account,
		Redact:  t.redact,
		Lines:   t.logLines,
	})
}

// read handles the worker's frames until the socket ends. Then it waits for the process and answers the open requests.
func (p *process) read(stderr io.Reader) {
	printed := make(chan string, 1)
	go func() { printed <- p.relay(stderr) }() // ends with the worker's stderr, at the latest with the worker
	err := p.run()
	if errors.Is(err, io.EOF) {
		err = errors.New("the worker closed its socket")
	}
	p.kill(err)
	p.log.Close()
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

// watch lets the tenant's loop read the socket.
func (p *process) watch(c conn) error {
	socket, ok := c.(*nonblock.Socket)
	if p.t.cfg.Loop == nil || !ok {
		return nil
	}
	fd, err := socket.Descriptor()
	if err == nil {
		p.socketEnd = make(chan error, 1)
		p.stopWatch, err = p.t.cfg.Loop.Watch(fd, p)
	}
	return err
}

// Ready implements [loop.Handler].
func (p *process) Ready(end bool) {
	more, err := p.in.Drain(end)
	switch {
	case err != nil:
		p.end(err)
	case more:
		p.t.cfg.Loop.Post(p.ready)
	}
}

func (p *process) end(err error) {
	p.endOnce.Do(func() {
		p.stopWatch()
		p.socketEnd <- err
	})
}

// run handles frames until the socket ends, here or in the loop.
func (p *process) run() error {
	if p.stopWatch == nil {
		return p.in.Run(false)
	}
	p.t.cfg.Loop.Post(p.ready) // frames may have come before the loop watched
	return <-p.socketEnd
}

// kill ends the process. The first cause is kept.
func (p *process) kill(cause error) {
	p.mu.Lock()
	if p.cause == nil {
		p.cause = cause
	}
	p.mu.Unlock()
	p.Kill()
	if p.stopWatch != nil {
		p.end(os.ErrClosed)
	}
	_ = p.conn.Close()
}

// relay logs the lines that a worker's runtime prints. It returns the first line.
func (p *process) relay(r io.Reader) (first string) {
	lines := bufio.NewReaderSize(r, maxLogLine)
	for n := 0; ; n++ {
		line, _, err := lines.ReadLine()
		if err != nil {
			if n > maxLogLines {
				p.t.cfg.Log.Warn("worker printed more lines than are logged", "lines", n-maxLogLines)
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

// maxReasonBytes bounds the printed line in the cause of a worker's end.
const maxReasonBytes = 200

// exitReason returns the end of the cause of a worker's end, given the first line that its runtime printed.
func exitReason(line string) string {
	if line == "" {
		return ""
	}
	if strings.Contains(line, "out of memory") || strings.Contains(line, "cannot allocate memory") {
		return `, out of memory: limits { memory = "…" } of the tenant is its limit, object_memory that of each object`
	}
	return ", " + strings.ToValidUTF8(line[:min(len(line), maxReasonBytes)], "")
}

// frame handles one frame of the worker. An error ends the worker: it broke the protocol.
func (p *process) frame(typ link.Type, id uint64, body []byte) error {
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
