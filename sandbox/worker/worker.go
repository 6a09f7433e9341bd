// Package worker is the process in which one tenant's scripts run: the second, small
// composition root of hearth. It joins the Lua engine with the serializers, so that
// arguments are decoded and results encoded here, behind the tenant's own walls, and
// never in the host.
//
// Who owns what: the reader (the goroutine of [Main]) owns the table of objects and
// never runs a script; each state of an object belongs to one actor, a goroutine that
// takes jobs one at a time and lives as long as its state; a job belongs to whoever
// holds it and ends with exactly one reply. The process ends when the host closes the
// socket, for whatever reason, or says stop and the last job is done.
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

	"github.com/hearthhost/hearth/internal/nonblock"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox"
	"github.com/hearthhost/hearth/sandbox/confine"
	"github.com/hearthhost/hearth/sandbox/link"
)

// SocketFD is the number of the inherited descriptor on which the host speaks.
const SocketFD = 3

// Main runs a worker on the inherited socket until the host is done with it, and
// returns the exit status of the process.
func Main() int {
	// One thread of Lua at a time. Handing a job from goroutine to goroutine would wake a
	// sleeping thread each time otherwise, which costs more than most calls do; a tenant
	// that keeps more than one core busy is a neighbour that nobody wants anyway. It also
	// keeps the runtime from looking at its control group's files later.
	runtime.GOMAXPROCS(1)
	_, _ = time.Now().Zone() // reads the zone's file, while there are files
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
	// A worker's live heap is small and its garbage short-lived: let more of it pile up
	// between collections than Go's default, but collect hard before the limit, where the
	// process ends with all the tenant's instances and nobody else's.
	debug.SetGCPercent(relaxedGCPercent)
	// Results that wait to be written, and holes in the heap that no large allocation fits into, come on top.
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
		objects: map[object.ID]*objectVersion{},
		loaded:  map[uint64]*objectVersion{},
		libs:    map[uint64]map[string][]byte{},
		running: map[uint64]*job{},
		streams: map[uint64]*actor{},
	}
	w.hostCalls.w = w
	w.log.init(w)
	if w.memory.limit = object.MaxInstanceBytes(bytes); bytes > 0 {
		backlog := int(min(object.MaxPendingResults(bytes), link.MaxBacklogBytes))
		w.out.Limit(backlog, 2*backlog)
	}
	w.message.Store(object.DefaultMessageBytes)
	return w
}

// serve is [Serve] for a worker that has not served yet.
func (w *process) serve(linger bool) error {
	defer w.conn.Close()
	in, err := link.NewReader(w.conn, w.frame)
	if err != nil {
		return err
	}
	err = in.Run(linger)
	w.end()
	if w.stopping && errors.Is(err, os.ErrClosed) || errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// stop closes the link when all jobs are answered. The reader continues until then: jobs wait for the host's
// answers, and the host ends a worker that does not answer its pings.
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
		j.cancelIf(id)
	}
	for _, a := range w.memory.all() {
		a.stop(true)
	}
}

// process is one worker: a link to the host and the objects of a tenant.
type process struct {
	conn Conn
	out  *link.Writer

	// The reader's own.
	stopping bool
	objects  map[object.ID]*objectVersion        // the versions in use
	loaded   map[uint64]*objectVersion           // those that are not in use yet, by number
	libs     map[uint64]map[string][]byte // sets of modules, by number; a set does not change

	memory memory
	// Services of the running objects.
	hostCalls hostCalls
	log       scriptLog
	secrets   secrets

	stalled atomic.Bool  // the host does not read
	ended   atomic.Bool  // the link has ended
	message atomic.Int64 // the longest result that any object may give, in bytes, as the host knows

	jobs sync.WaitGroup // queued and running

	mu         sync.Mutex        // guards what follows
	running    map[uint64]*job   // queued or running
	streams    map[uint64]*actor // in which each lives
	lastStream uint64
}

// frame takes one frame of the host.
func (w *process) frame(typ link.Type, id uint64, body []byte) error {
	if w.stalled.Load() {
		return link.ErrStalled
	}
	switch typ {
	case link.Call, link.Next:
		// The job keeps its body while it waits and runs.
		j := newJob(w, id)
		if len(body) > link.Large { // it is ours
			return w.accept(j, typ, body)
		}
		j.body = append(j.body[:0], body...)
		return w.accept(j, typ, j.body)
	case link.Stop:
		w.stop()
		return nil
	default:
		// Others keep theirs too: sources until they are compiled, answers until they are read.
		return w.control(typ, id, &link.Decoder{B: bytes.Clone(body)})
	}
}

// accept takes a call or a request for a stream's next item and hands it to its object.
func (w *process) accept(j *job, typ link.Type, body []byte) error {
	d := link.Decoder{B: body}
	if typ == link.Next {
		j.stream = d.Uint()
	}
	d.CallFields(&j.call)
	if d.Err != nil {
		return d.Err
	}
	if w.stopping { // its jobs are being waited for
		j.failure(errStopping)
		w.post(j.frame.Frame())
		return nil
	}
	w.jobs.Add(1)
	w.mu.Lock()
	w.running[j.id] = j
	a := w.streams[j.stream]
	w.mu.Unlock()
	if j.stream != 0 {
		if a == nil {
			j.fail(object.ErrStreamGone)
			return nil
		}
		a.enqueue(j)
		return nil
	}
	o := w.objects[j.call.ID]
	if o == nil {
		j.fail(errUnknown)
		return nil
	}
	o.dispatch(j)
	return nil
}

// errStopping is the answer to a call that comes after Stop.
var errStopping = object.Errorf(object.CodeUnavailable, "the tenant's worker is stopping; not executed")

// control handles every frame that is not a job.
func (w *process) control(typ link.Type, id uint64, d *link.Decoder) error {
	switch typ {
	case link.Libs:
		w.addLibs(d)
	case link.DropLibs:
		delete(w.libs, d.Uint())
	case link.HostPush:
		return w.push(d)
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
		w.post(e.Frame())
	case link.CloseStream:
		w.closeStream(d.Uint())
	case link.EndConn:
		conn := d.Uint()
		for _, o := range w.objects {
			o.endConn(conn)
		}
	case link.Cancel:
		if j := w.job(id); j != nil {
			j.cancelIf(id)
		}
	case link.Withdraw:
		if j := w.job(id); j != nil && j.withdrawIf(id) {
			w.forget(id)
			var e link.Encoder
			e.Begin(link.Withdrawn, id)
			w.post(e.Frame())
		}
	case link.Ping:
		w.pong(id)
	case link.HostReply:
		w.hostCalls.complete(id, d)
	case link.Idle:
		var e link.Encoder
		e.Begin(link.Reply, id)
		e.PutReply(object.Reply{Payload: []byte{w.idle()}}, true, nil)
		w.post(e.Frame())
	default:
		return fmt.Errorf("link: the host sent a frame of type %d", typ)
	}
	return d.Err
}

// push takes data of a service.
func (w *process) push(d *link.Decoder) error {
	service, op := d.PushFields()
	if service != link.Secrets || op != link.SecretsGrant {
		return fmt.Errorf("link: the host pushed op %d of %s", op, service)
	}
	w.secrets.grant(d)
	return d.Err
}

// addLibs takes a set of modules.
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

// load adds a version of an object, which is not in use yet. The script is compiled by the
// object's own goroutine, never by the reader. It says how that went if request is not 0.
func (w *process) load(request uint64, d *link.Decoder) error {
	number, cfg, err := w.version(d)
	if err != nil {
		return err
	}
	o := newObjectVersion(w, cfg.ID, cfg.Limits)
	w.log.allow(o.id, o.limits.LogLines)
	w.message.Store(max(w.message.Load(), int64(o.limits.ResultBytes)))
	w.loaded[number] = o
	go o.load(context.Background(), cfg)
	if request != 0 {
		go o.describe(request, true)
	}
	return nil
}

// version reads what makes a version.
func (w *process) version(d *link.Decoder) (number uint64, cfg sandbox.Config, err error) {
	v, err := d.VersionFields()
	return v.Number, sandbox.Config{ID: v.ID, File: v.File, Source: v.Source, Limits: v.Limits, Libs: w.libs[v.Libs],
		Services: sandbox.Services{Objects: objects{w}, Log: &w.log, Secrets: &w.secrets}, OnLongCall: w.longCall}, err
}

// test runs the tests of a version, beside everything else.
func (w *process) test(request uint64, d *link.Decoder) error {
	file, source := d.Text(), d.Bytes()
	_, cfg, err := w.version(d)
	if err != nil {
		return err
	}
	go func() { // ends with the tests, each of which has a budget, or with the time for all
		ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
		defer cancel()
		results, err := sandbox.RunTests(ctx, cfg, file, source)
		var doc []byte
		if err == nil {
			doc, err = json.Marshal(results)
		}
		if len(doc) > maxDoc {
			err = object.Errorf(object.CodeTooLarge, "the results of the tests take %d KiB, at most %d are allowed", len(doc)>>10, maxDoc>>10)
		}
		var e link.Encoder
		e.Begin(link.Described, request)
		if err != nil {
			e.PutReply(object.Reply{Exception: true, Payload: []byte(reason(asError(err)))}, true, nil)
		} else {
			e.PutReply(object.Reply{Payload: doc}, true, nil)
		}
		w.send(&e)
	}()
	return nil
}

// testTimeout is how long the tests of one object may take together.
const testTimeout = 50 * time.Second

// use makes a version that was loaded the one that answers calls.
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

// idle returns 0 if a job or a stream would be missed if the process ended, 1 if an
// instance that remembers would, and 2 if nothing would.
func (w *process) idle() byte {
	w.mu.Lock()
	busy := len(w.running)+len(w.streams) > 0
	w.mu.Unlock()
	if busy || w.hostCalls.inFlight() > 0 {
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
	w.memory.watch(w.busy)
}

// job returns the job of a request, nil if it is answered.
func (w *process) job(id uint64) *job {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.running[id]
}

// forget takes the job of a request out of the table.
func (w *process) forget(id uint64) (last bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.running, id)
	return len(w.running) == 0
}

// pong answers a ping with the jobs that run.
func (w *process) pong(id uint64) {
	now := time.Now()
	var all []link.Running
	w.mu.Lock()
	for n, j := range w.running {
		if begun := j.beginTime(n); !begun.IsZero() {
			all = append(all, link.Running{ID: n, For: now.Sub(begun)})
		}
	}
	w.mu.Unlock()
	var e link.Encoder
	e.Begin(link.Pong, id)
	e.PutRunning(all)
	w.post(e.Frame())
}

// send writes a frame, and may wait until the host reads: the reader uses post. A failure means the host is gone,
// and the reader will see that.
func (w *process) send(e *link.Encoder) { _ = w.out.Write(e.Frame()) }

// post sends a frame without waiting. If too much waits for a host that does not read, the next frame of the host
// ends the process.
func (w *process) post(frame []byte) {
	if err := w.out.Post(frame); errors.Is(err, link.ErrStalled) {
		w.stalled.Store(true)
	}
}

// longSteps is how many steps make a call so long that its reply waits for no other.
const longSteps = 10_000

// reply writes the answer to a job that ran. If other jobs are about to be answered, it goes out
// with theirs.
func (w *process) reply(j *job) {
	last := w.forget(j.id)
	frame := j.frame.FrameBefore(len(j.rest[0]) + len(j.rest[1]))
	var err error
	if last || j.steps > longSteps || j.rest[0] != nil {
		_, err = w.out.WriteBefore(frame, j.rest[:]...)
	} else {
		_, err = w.out.Queue(frame)
	}
	if errors.Is(err, link.ErrBacklog) { // other errors mean that nobody waits
		j.failure(object.Errorf(object.CodeExhausted,
			"limit exceeded: %d MiB of results that wait for the host, which does not keep up; the call was executed", link.MaxBacklogBytes>>20))
		w.post(j.frame.Frame())
	}
}
