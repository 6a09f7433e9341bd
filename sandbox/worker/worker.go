// Package worker is the process that runs one tenant's scripts. It connects the Lua engine with the serializers:
// arguments are decoded and results are encoded in this confined process, never in the host.
//
// A request of the host becomes a job. The leader gives it to an [objectVersion], which gives it to an actor.
//
// Ownership:
//   - The leader is the goroutine that reads the link, see package leader. It owns the table of objects. It runs actors
//     itself and never waits for a write.
//   - An actor owns one Lua state and a queue of jobs. One goroutine at a time runs its jobs: the leader or another.
//   - A job belongs to the goroutine that holds it and ends with exactly one reply.
//   - The running objects use the host through [services]. Package link defines the ops.
//
// The process exits when the host closes the socket, or when the host has sent Stop and the last job is answered.
package worker

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hearthhost/hearth/codec/pyro"
	"github.com/hearthhost/hearth/internal/nonblock"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox"
	"github.com/hearthhost/hearth/sandbox/confine"
	"github.com/hearthhost/hearth/sandbox/link"
	"github.com/hearthhost/hearth/sandbox/worker/leader"
	"github.com/hearthhost/hearth/sandbox/worker/memory"
	"github.com/hearthhost/hearth/sandbox/worker/services"
)

// SocketFD is the number of the inherited descriptor of the link.
const SocketFD = 3

// Main runs a worker on the inherited socket until the host ends it. It returns the exit status of the process.
func Main() int {
	// Lua runs on one thread at a time. With more, passing a job between goroutines would wake a sleeping thread, which
	// costs more than most calls. It also bounds a tenant to one core, and keeps the runtime from reading the files of
	// its control group later.
	runtime.GOMAXPROCS(1)
	_, _ = time.Now().Zone() // reads the time zone before the file system is hidden
	spec, err := confine.Enter(warm)
	if err != nil {
		fmt.Fprintln(os.Stderr, "hearth worker: this verb is for the host, which starts and confines it:", err)
		return 2
	}
	conn, err := nonblock.NewSocket(os.NewFile(SocketFD, "link"))
	if err != nil {
		fmt.Fprintln(os.Stderr, "hearth worker: this verb is for the host, which starts it with a socket:", err)
		return 2
	}
	// A worker's live heap is small and its garbage is short-lived: allow more garbage between collections than Go's
	// default. Near the limit, where the kernel would end the process, memory.enforce allows less.
	debug.SetGCPercent(memory.RelaxedGCPercent)
	// The rest is for results that wait to be written, and for holes in the heap.
	debug.SetMemoryLimit(spec.Memory() / 8 * 5)
	if err := newProcess(conn, spec.Memory()).serve(true); err != nil {
		fmt.Fprintln(os.Stderr, "hearth worker:", err)
		return 1
	}
	return 0
}

// Conn is the worker's end of the link, for example a [nonblock.Socket].
type Conn interface {
	io.WriteCloser
	syscall.Conn
}

// Serve answers the host on conn until the host closes it or sends Stop. It returns nil then, and an error if the
// link fails or a frame is invalid. linger is that of [link.Reader.Run].
func Serve(conn Conn, linger bool) error { return newProcess(conn, 0).serve(linger) }

// newProcess returns a worker without objects. Its instances hold at most 3/8 of bytes; 0 is no limit.
func newProcess(conn Conn, bytes int64) *process {
	w := &process{
		conn:    conn,
		out:     link.NewWriter(conn),
		memory:  memory.New(object.MaxInstanceBytes(bytes)),
		objects: map[object.ID]*objectVersion{},
		loaded:  map[uint64]*objectVersion{},
		libs:    map[uint64]map[string][]byte{},
		running: map[uint64]*job{},
		streams: map[uint64]*actor{},
	}
	w.services = services.New(w)
	w.leader = leader.New(w.out, w.frameRunner, w.busy)
	if bytes > 0 {
		backlog := int(min(object.MaxPendingResults(bytes), link.MaxBacklogBytes))
		w.out.Limit(backlog, 2*backlog)
	}
	return w
}

// serve is [Serve] for a worker that has not served yet.
func (w *process) serve(linger bool) error {
	defer func() { _ = w.conn.Close() }()
	in, err := link.NewReader(w.conn, nil)
	if err != nil {
		return err
	}
	err = w.leader.Serve(in, linger)
	w.end()
	if w.stopping && errors.Is(err, os.ErrClosed) || errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// stop closes the link when all jobs are answered. The leader continues until then: jobs wait for the host's answers,
// and the host ends a worker that does not answer its pings.
func (w *process) stop() {
	if w.stopping {
		return
	}
	w.stopping = true
	go func() {
		w.jobs.Wait()
		w.out.CloseAfter(w.conn)
	}()
}

// end cancels all calls and ends all instances, without waiting for them. A worker process exits next anyway; the
// rehearsal and tests do not.
func (w *process) end() {
	w.ended.Store(true)
	w.mu.Lock()
	running := maps.Clone(w.running)
	w.mu.Unlock()
	for id, j := range running {
		j.Cancel(id)
	}
	for _, v := range w.objects {
		v.retire(nil) // refuses the calls that wait
	}
	for _, a := range w.memory.All() {
		a.(*actor).stop(true)
	}
	w.leader.End()
}

// process is one worker: a link to the host and the objects of a tenant.
type process struct {
	conn   Conn
	out    *link.Writer
	leader *leader.Group

	// Owned by the leader.
	stopping bool                         // Stop has come
	objects  map[object.ID]*objectVersion // versions in use
	loaded   map[uint64]*objectVersion    // versions that are not in use yet, by number
	libs     map[uint64]map[string][]byte // sets of modules, by number; a set does not change

	memory   *memory.Limit
	services *services.Set // services that the running objects use

	stalled atomic.Bool // too much waits for the host, which does not read
	ended   atomic.Bool // the link has ended

	jobs sync.WaitGroup // queued and running jobs

	mu         sync.Mutex        // guards the fields below
	running    map[uint64]*job   // queued and running jobs by request
	streams    map[uint64]*actor // actors of the open streams, by stream
	lastStream uint64
}

// frameRunner is frame for the leader.
func (w *process) frameRunner(f link.Frame) (leader.Runner, error) {
	a, err := w.frame(f)
	if a == nil {
		return nil, err
	}
	return a, err
}

// frame handles one frame of the host. It returns the actor that the caller must run, if any.
func (w *process) frame(f link.Frame) (*actor, error) {
	if w.stalled.Load() {
		return nil, link.ErrStalled
	}
	switch f.Type {
	case link.Call, link.Next:
		// The job keeps its body while it waits and runs.
		j := newJob(w, f.ID)
		if len(f.Body) > link.Large { // such a body belongs to its handler
			return w.accept(j, f.Type, f.Body)
		}
		j.body = append(j.body[:0], f.Body...)
		return w.accept(j, f.Type, j.body)
	case link.Stop:
		w.stop()
		return nil, nil
	default:
		// Handlers keep the body: sources until they are compiled, replies until they are decoded.
		return nil, w.control(f.Type, f.ID, &link.Decoder{B: bytes.Clone(f.Body)})
	}
}

// accept gives a call, or a request for a stream's next item, to its object. It returns the actor that the caller must
// run, if any.
func (w *process) accept(j *job, typ link.Type, body []byte) (*actor, error) {
	d := link.Decoder{B: body}
	if typ == link.Next {
		j.stream = d.Uint()
	}
	d.CallFields(&j.call)
	if d.Err != nil {
		return nil, d.Err
	}
	if w.stopping { // stop waits for the jobs: there must be no new ones
		j.failure(errStopping)
		w.Post(j.frame.Frame())
		return nil, nil
	}
	w.jobs.Add(1)
	if j.stream != 0 {
		if a := w.addNext(j); a != nil {
			return a.enqueue(j), nil
		}
		j.fail(object.ErrStreamGone)
		return nil, nil
	}
	w.mu.Lock()
	w.running[j.ID()] = j
	w.mu.Unlock()
	o := w.objects[j.call.ID]
	if o == nil {
		j.fail(errUnknown)
		return nil, nil
	}
	return o.dispatch(j), nil
}

// addNext adds a job for the next item of a stream to the table. It returns the stream's actor, nil if the stream is
// not open.
func (w *process) addNext(j *job) *actor {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.running[j.ID()] = j
	return w.streams[j.stream]
}

// errStopping is the answer to a call that comes after Stop.
var errStopping = object.Errorf(object.CodeUnavailable, "the tenant's worker is stopping; not executed")

// control handles a frame that is not a job.
func (w *process) control(typ link.Type, id uint64, d *link.Decoder) error {
	switch typ {
	case link.Libs:
		w.addLibs(d)
	case link.DropLibs:
		delete(w.libs, d.Uint())
	case link.HostPush:
		return w.services.Push(d)
	case link.Load:
		return w.load(id, d)
	case link.Test:
		return w.test(id, d)
	case link.Use:
		return w.use(d.Uint())
	case link.Forget:
		delete(w.loaded, d.Uint())
	case link.Remove:
		if o := w.objects[object.ID(d.Text())]; o != nil {
			delete(w.objects, o.id)
			o.retire(nil)
			o.endSessionsAndStreams()
		}
	case link.Describe:
		if o := w.objects[object.ID(d.Text())]; o != nil {
			go o.describe(id, false)
			break
		}
		var e link.Encoder
		e.Begin(link.Described, id)
		e.PutReply(object.Reply{}, false, errUnknown)
		w.Post(e.Frame())
	case link.CloseStream:
		w.closeStream(d.Uint())
	case link.EndConn:
		conn := d.Uint()
		for _, o := range w.objects {
			o.endConn(conn)
		}
	case link.Cancel:
		if j := w.job(id); j != nil {
			j.Cancel(id)
		}
	case link.Withdraw:
		if j := w.job(id); j != nil && j.Withdraw(id) {
			w.forget(id)
			var e link.Encoder
			e.Begin(link.Withdrawn, id)
			w.Post(e.Frame())
		}
	case link.Ping:
		w.pong(id)
	case link.HostReply:
		w.services.Complete(id, d)
	case link.Idle:
		var e link.Encoder
		e.Begin(link.Reply, id)
		e.PutReply(object.Reply{Payload: []byte{w.idle()}}, true, nil)
		w.Post(e.Frame())
	default:
		return fmt.Errorf("link: the host sent a frame of type %d", typ)
	}
	return d.Err
}

// addLibs adds a set of modules.
func (w *process) addLibs(d *link.Decoder) {
	number, n := d.Uint(), d.Count()
	libs := map[string][]byte{}
	for range n {
		name := d.Text()
		libs[name] = d.Bytes()
	}
	if d.Err == nil {
		w.libs[number] = libs
	}
}

// load adds a version of an object, which is not in use yet. Another goroutine compiles the script, and reports the
// result if request is not 0.
func (w *process) load(request uint64, d *link.Decoder) error {
	number, cfg, err := w.version(d)
	if err != nil {
		return err
	}
	o := newObjectVersion(w, cfg.ID, cfg.Limits)
	w.services.Allow(o.id, o.limits)
	w.loaded[number] = o
	go o.load(context.Background(), cfg)
	if request != 0 {
		go o.describe(request, true)
	}
	return nil
}

// version reads a version and its number.
func (w *process) version(d *link.Decoder) (number uint64, cfg sandbox.Config, err error) {
	v, err := d.VersionFields()
	return v.Number, sandbox.Config{
		ID:         v.ID,
		File:       v.File,
		Source:     v.Source,
		Limits:     v.Limits,
		Libs:       w.libs[v.Libs],
		Services:   w.services.Sandbox(),
		Classes:    pyro.ObjectCalls,
		OnCompute:  w.leader.TakeOver,
		OnLongCall: w.longCall,
	}, err
}

// test runs the tests of a version in a goroutine.
func (w *process) test(request uint64, d *link.Decoder) error {
	file, source := d.Text(), d.Bytes()
	_, cfg, err := w.version(d)
	if err != nil {
		return err
	}
	go func() { // ends with the tests, at the latest after testTimeout
		ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
		defer cancel()
		results, err := sandbox.RunTests(ctx, cfg, file, source)
		var doc []byte
		if err == nil {
			doc, err = json.Marshal(results)
		}
		if len(doc) > maxDoc {
			err = object.Errorf(object.CodeTooLarge,
				"the results of the tests take %d KiB, at most %d are allowed", len(doc)>>10, maxDoc>>10)
		}
		var e link.Encoder
		e.Begin(link.Described, request)
		if err != nil {
			e.PutReply(object.Reply{Exception: true, Payload: []byte(reason(asError(err)))}, true, nil)
		} else {
			e.PutReply(object.Reply{Payload: doc}, true, nil)
		}
		w.Send(&e)
	}()
	return nil
}

// testTimeout bounds the time of all tests of one object.
const testTimeout = 50 * time.Second

// use puts a loaded version into use: it answers calls from now on.
func (w *process) use(number uint64) error {
	o := w.loaded[number]
	if o == nil {
		return fmt.Errorf("link: the host uses version %d, which it did not load", number)
	}
	delete(w.loaded, number)
	old := w.objects[o.id]
	w.objects[o.id] = o
	if old != nil {
		old.retire(o)
	}
	return nil
}

// idle returns the answer to [link.Idle]: 0 jobs, streams or host calls, 1 instances with state, 2 nothing.
func (w *process) idle() byte {
	w.mu.Lock()
	busy := len(w.running)+len(w.streams) > 0
	w.mu.Unlock()
	if busy || w.services.InFlight() > 0 {
		return 0
	}
	for _, o := range w.objects {
		if o.holdsState() {
			return 1
		}
	}
	return 2
}

// busy reports whether a job waits or runs.
func (w *process) busy() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.running) > 0
}

// longCall has a script that runs for long preempted, and its memory watched.
func (w *process) longCall() {
	nonblock.Long()
	w.memory.Watch(w.busy)
}

// job returns the job of a request, nil if it is answered.
func (w *process) job(id uint64) *job {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.running[id]
}

// forget removes the job of a request from the table. It reports whether the table is empty then.
func (w *process) forget(id uint64) (last bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.running, id)
	return len(w.running) == 0
}

// pong answers a ping with the running jobs and their times.
func (w *process) pong(id uint64) {
	now := time.Now()
	var all []link.Running
	w.mu.Lock()
	for n, j := range w.running {
		if begun := j.BegunAt(n); !begun.IsZero() {
			all = append(all, link.Running{ID: n, For: now.Sub(begun)})
		}
	}
	w.mu.Unlock()
	var e link.Encoder
	e.Begin(link.Pong, id)
	e.PutRunning(all)
	w.Post(e.Frame())
}

// Send writes a frame. It may wait until the host reads.
func (w *process) Send(e *link.Encoder) { w.leader.Send(e) }

// SendAndWait is Send for a goroutine that then waits for the host.
func (w *process) SendAndWait(e *link.Encoder) { w.leader.SendAndWait(e) }

// Post sends a frame without waiting. If too much waits for the host, the host's next frame ends the process.
func (w *process) Post(frame []byte) {
	if err := w.out.Post(frame); errors.Is(err, link.ErrStalled) {
		w.stalled.Store(true)
	}
}

// longSteps is the number of VM instructions from which a reply is sent at once, not with others.
const longSteps = 10_000

// reply sends the reply of a job that ran. The reply of a short job waits for those of other running jobs, so that one
// system call writes them. term is that of the leader if the leader runs the job, otherwise 0.
func (w *process) reply(j *job, term uint64) {
	last := w.forget(j.ID())
	leads := w.leader.Leads(term)
	frame := j.frame.FramePrefix(len(j.rest[0]) + len(j.rest[1]))
	large := len(frame)+len(j.rest[0])+len(j.rest[1]) > link.Large
	if leads && large {
		w.leader.TakeOver() // writing it may wait
	}
	var err error
	switch {
	case leads && !large: // then rest is empty
		if _, err = w.out.AppendBounded(frame); j.steps > longSteps {
			w.out.TryFlush()
		}
	case last || large || j.steps > longSteps:
		_, err = w.out.WriteParts(frame, j.rest[:]...)
	default:
		_, err = w.out.Queue(frame)
	}
	if errors.Is(err, link.ErrBacklog) { // after any other error the host is gone
		j.failure(object.Errorf(object.CodeExhausted,
			"limit exceeded: %d MiB of results that wait for the host, which does not keep up; "+
				"the call was executed", link.MaxBacklogBytes>>20))
		w.Post(j.frame.Frame())
	}
}
