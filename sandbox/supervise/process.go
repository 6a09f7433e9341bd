package supervise

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/confine"
	"github.com/hearthhost/hearth/sandbox/link"
)

// process is one live worker.
type process struct {
	t *Tenant
	*spawned
	out     *link.Writer
	in      *link.Reader
	serial  uint64 // tells this process from those before it
	started time.Time
	done    chan struct{}      // closed when the process has been waited for
	ctx     context.Context    // of calls that its scripts make; ends with the process
	cancel  context.CancelFunc // ends ctx
	proxies chan struct{}      // holds a slot for each call of its scripts under way

	logged map[object.ID]*lines // the reader's own

	spinning atomic.Bool // somebody looks for a reply; guards spin
	spin     link.Spin

	mu       sync.Mutex // guards what follows
	pending  map[uint64]*pending
	last     uint64
	message  int                           // the longest result that any of its versions may give, in bytes
	sweeping bool                          // sweep will run
	retired  bool                          // it takes no more requests
	known    map[object.ID]bool            // every object of which it has loaded a version
	loaded   map[object.ID]*Version        // in use in the worker
	tried    map[*Version]bool             // loaded there, and not in use
	libs     map[*Libs]bool                // known there
	asked    map[uint64]context.CancelFunc // the scripts' own calls, by the worker's id
	cause    error                         // why it was ended or died; set once
}

// pending is a request that waits for its reply. Whoever takes it out of the table owns
// it and completes it: the reader, the asker who gives up, or the end of the process.
type pending struct {
	deadline time.Time     // zero: none
	answer   chan struct{} // holds one token when the fields below are set
	buf      []byte        // where the reply's payload goes
	reply    object.Reply
	more     bool
	err      error
}

var pendings = sync.Pool{New: func() any { return &pending{answer: make(chan struct{}, 1)} }}

// maxProxies bounds the calls that one worker's scripts have under way.
const maxProxies = 256

// maxLogLine bounds what is kept of a line that a worker prints on its own.
const maxLogLine = 4 << 10

// maxLeftOut bounds how many lines a worker is believed to have left out at once.
const maxLeftOut = 1 << 30

// maxLogLines bounds how many such lines are kept of one worker: the reason of a crash
// comes first.
const maxLogLines = 20

var serials atomic.Uint64

// start runs a worker, which knows nothing yet.
func start(t *Tenant) (*process, error) {
	w := t.cfg.Spares.take(t.cfg.Confine)
	if w == nil {
		var err error
		w, err = spawn(t.cfg.Argv, func(cmd *exec.Cmd) (*confine.Worker, error) { return confine.Start(cmd, t.cfg.Confine) })
		if err != nil {
			return nil, fmt.Errorf("starting a worker of tenant %s: %w", t.cfg.Tenant, err)
		}
	}
	p := &process{t: t, spawned: w, out: link.NewWriter(w.conn), serial: serials.Add(1) & (1<<24 - 1),
		started: time.Now(), done: make(chan struct{}), proxies: make(chan struct{}, maxProxies),
		message: object.DefaultMessageBytes, pending: map[uint64]*pending{}, known: map[object.ID]bool{}, loaded: map[object.ID]*Version{}, tried: map[*Version]bool{}, libs: map[*Libs]bool{}, logged: map[object.ID]*lines{}, asked: map[uint64]context.CancelFunc{}}
	var err error
	if p.in, err = link.NewReader(w.conn, p.frame); err != nil {
		w.drop()
		return nil, err
	}
	p.in.Limit(link.FrameBytes(p.message))
	t.cfg.Account.Started(p.cmd.Process.Pid)
	p.ctx, p.cancel = context.WithCancel(context.Background())
	go p.read()
	go p.retireWhenIdle()
	t.cfg.Log.Info("worker started", "pid", p.cmd.Process.Pid)
	for _, l := range p.worker.Layers {
		if l.Asked && !l.Holds {
			t.cfg.Log.Warn("worker is weakened", "layer", l.Name, "reason", l.Reason)
		}
	}
	return p, nil
}

// read handles the worker's frames until the socket ends, then waits for the process
// and answers everything that is still open.
func (p *process) read() {
	printed := make(chan string, 1)
	go func() { printed <- p.relay(p.stderr) }() // ends when the worker's stderr does, at the latest with the worker
	err := p.in.Run(false)
	if errors.Is(err, io.EOF) {
		err = errors.New("the worker closed its socket")
	}
	p.kill(err)
	p.logDropped()
	first := <-printed
	state := p.worker.Wait()
	p.t.cfg.Account.Ended(p.cmd.Process.Pid, p.cmd.ProcessState)
	p.mu.Lock()
	cause := p.cause
	open := p.pending
	p.pending = nil
	p.mu.Unlock()
	if state != nil {
		cause = fmt.Errorf("%w (%w%s)", cause, state, lastWords(first))
	}
	p.cancel()
	p.t.exited(p, cause)
	for _, w := range open {
		w.err = &object.Error{Code: object.CodeUnavailable,
			Msg: "the worker ended during the call; whether it was executed is unknown", Err: cause}
		w.answer <- struct{}{}
	}
	close(p.done)
}

// kill ends the process. The first cause stays.
func (p *process) kill(cause error) {
	p.mu.Lock()
	if p.cause == nil {
		p.cause = cause
	}
	p.mu.Unlock()
	_ = p.cmd.Process.Kill()
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

// lastWords makes of the first line that a worker printed, which is what its runtime died of,
// the end of the cause of its end.
func lastWords(line string) string {
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
	case link.Reply, link.Described:
		p.answer(id, d)
	case link.Log:
		p.log(d)
	case link.LeftOut:
		p.leftOut(object.ID(d.Text()), min(id, maxLeftOut))
	case link.Proxy:
		d.B = bytes.Clone(body) // the call keeps it
		if err := p.proxy(id, d); err != nil {
			return err
		}
	case link.Cancel:
		p.mu.Lock()
		cancel := p.asked[id]
		p.mu.Unlock()
		if cancel != nil {
			cancel()
		}
	default:
		return fmt.Errorf("link: the worker sent a frame of type %d", typ)
	}
	return d.Err
}

// answer completes a request. A reply that nobody waits for any more is dropped.
func (p *process) answer(id uint64, d *link.Decoder) {
	p.mu.Lock()
	w := p.pending[id]
	delete(p.pending, id)
	p.mu.Unlock()
	if w == nil {
		d.B = nil
		return
	}
	reply, more, failed := d.ReplyFields()
	w.reply, w.more, w.err = reply, more, nil
	if len(reply.Payload) <= link.Large { // what is larger is ours
		w.reply.Payload = append(w.buf[:0], reply.Payload...)
	}
	switch {
	case d.Err != nil:
		w.err = &object.Error{Code: object.CodeInternal, Err: d.Err}
	case failed != nil:
		w.err = failed
	}
	w.answer <- struct{}{}
}

// maxScriptLine bounds a line of a script in bytes: the engine cuts them shorter, but a worker
// that was taken over does not.
const maxScriptLine = 16 << 10

// log writes a script's own line.
func (p *process) log(d *link.Decoder) {
	id, level := object.ID(d.Text()), d.Text()
	raw := d.Raw()
	msg := string(raw[:min(len(raw), maxScriptLine)])
	if d.Err == nil && id.Tenant() == p.t.cfg.Tenant {
		p.logScript(level, id, p.t.redact(msg))
	}
}
