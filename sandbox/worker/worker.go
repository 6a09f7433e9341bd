// Package worker is the process that runs one tenant's scripts. It connects the Lua engine with the serializers:
// arguments are decoded and results are encoded in this confined process, never in the host.
//
// The package itself decodes the host's frames and writes the replies. It composes
//
//   - package leader: the leader is the goroutine that reads the link. It runs calls itself and never waits,
//   - package job: a request of the host becomes a job, which ends with exactly one reply,
//   - package pool: the objects with their instances, which run jobs in Lua states,
//   - package memory: the limit on the memory of all instances,
//   - package services: the running objects use the host through it. Package link defines the ops.
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
	"os"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hearthhost/hearth/codec/pyro"
	"github.com/hearthhost/hearth/internal/nonblock"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox"
	"github.com/hearthhost/hearth/sandbox/confine"
	"github.com/hearthhost/hearth/sandbox/link"
	"github.com/hearthhost/hearth/sandbox/worker/job"
	"github.com/hearthhost/hearth/sandbox/worker/leader"
	"github.com/hearthhost/hearth/sandbox/worker/memory"
	"github.com/hearthhost/hearth/sandbox/worker/pool"
	"github.com/hearthhost/hearth/sandbox/worker/services"
)

// SocketFD is the number of the inherited descriptor of the link.
const SocketFD = 3

// Main runs a worker on the inherited socket until the host ends it. It returns the exit status of the process. Errors
// on standard error begin with name.
func Main(name string) int {
	// Lua runs on one thread at a time. With more, passing a job between goroutines would wake a sleeping thread, which
	// costs more than most calls. It also bounds a tenant to one core, and keeps the runtime from reading the files of
	// its control group later.
	runtime.GOMAXPROCS(1)
	_, _ = time.Now().Zone() // reads the time zone before the file system is hidden
	spec, err := confine.Enter(warm)
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: only hearth serve starts this process, and confines it: %v\n", name, err)
		return 2
	}
	conn, err := nonblock.NewSocket(os.NewFile(SocketFD, "link"))
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: only hearth serve starts this process, with a socket: %v\n", name, err)
		return 2
	}
	// A worker's live heap is small and its garbage is short-lived: allow more garbage between collections than Go's
	// default. Near the limit, where the kernel would end the process, memory.enforce allows less.
	debug.SetGCPercent(memory.RelaxedGCPercent)
	// The rest is for results that wait to be written, and for holes in the heap.
	debug.SetMemoryLimit(spec.Memory() / 8 * 5)
	if err := newProcess(conn, spec.Memory()).serve(true); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
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
		conn:   conn,
		out:    link.NewWriter(conn),
		memory: memory.New(object.MaxInstanceBytes(bytes)),
		libs:   map[uint64]map[string][]byte{},
	}
	w.services = services.New(w)
	w.jobs = job.NewTable(w, &w.services.Log)
	w.leader = leader.New(w.out, w.frame, w.jobs.Busy)
	w.pool = pool.New(w.leader, w.memory, w.services)
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
	w.jobs.Cancel()
	w.pool.End()
	w.leader.End()
}

// process is one worker: a link to the host and the objects of a tenant.
type process struct {
	conn   Conn
	out    *link.Writer
	leader *leader.Group

	jobs     *job.Table
	pool     *pool.Pool
	memory   *memory.Limit
	services *services.Set // services that the running objects use

	// Owned by the leader.
	stopping bool                         // Stop has come
	libs     map[uint64]map[string][]byte // sets of modules, by number; a set does not change

	stalled atomic.Bool // too much waits for the host, which does not read
}

// frame handles one frame of the host. It returns the work that the caller must do, if any.
func (w *process) frame(f link.Frame) (leader.Runner, error) {
	if w.stalled.Load() {
		return nil, link.ErrStalled
	}
	switch f.Type {
	case link.Call, link.Next:
		return w.accept(f)
	case link.Stop:
		w.stop()
		return nil, nil
	default:
		// Handlers keep the body: sources until they are compiled, replies until they are decoded.
		return nil, w.control(f.Type, f.ID, &link.Decoder{B: bytes.Clone(f.Body)})
	}
}

// accept gives a call, or a request for a stream's next item, to its object. It returns the work that the caller must
// do, if any.
func (w *process) accept(f link.Frame) (leader.Runner, error) {
	j, err := w.jobs.Read(f)
	if err != nil {
		return nil, err
	}
	if w.stopping { // stop waits for the jobs: there must be no new ones
		w.jobs.Reject(j, errStopping)
		return nil, nil
	}
	w.jobs.Add(j)
	if f.Type == link.Next {
		return w.pool.Next(j), nil
	}
	return w.pool.Call(j), nil
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
		return w.pool.Use(d.Uint())
	case link.Forget:
		w.pool.Forget(d.Uint())
	case link.Remove:
		w.pool.Remove(object.ID(d.Text()))
	case link.Describe:
		go w.describe(id, w.pool.Describe(object.ID(d.Text())), false)
	case link.CloseStream:
		w.pool.CloseStream(d.Uint())
	case link.EndConn:
		w.pool.EndConn(d.Uint())
	case link.Cancel:
		if j := w.jobs.Find(id); j != nil {
			j.Cancel(id)
		}
	case link.Withdraw:
		if j := w.jobs.Find(id); j != nil && j.Withdraw(id) {
			w.jobs.Forget(id)
			var e link.Encoder
			e.Begin(link.Withdrawn, id)
			w.Post(e.Frame())
		}
	case link.Ping:
		var e link.Encoder
		e.Begin(link.Pong, id)
		e.PutRunning(w.jobs.Running())
		w.Post(e.Frame())
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
	description := w.pool.Load(number, cfg)
	if request != 0 {
		go w.describe(request, description, true)
	}
	return nil
}

// describe answers a Describe frame, or a Load frame with a request id, when the version has loaded. For a Load frame
// a load error is a result: staged is set.
func (w *process) describe(request uint64, description pool.Description, staged bool) {
	doc, err := description()
	var e link.Encoder
	e.Begin(link.Described, request)
	switch {
	case err != nil && staged:
		e.PutReply(object.Reply{Exception: true, Payload: []byte(reason(err))}, true, nil)
	case err != nil:
		e.PutReply(object.Reply{}, false, err)
	default:
		e.PutReply(object.Reply{Payload: doc}, true, nil)
	}
	w.Send(&e)
}

// reason returns the text of an error for the script's author.
func reason(err *object.Error) string {
	if err.Msg == "" {
		return err.Error()
	}
	return err.Msg
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
		OnCompute:  w.leader.Compute,
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
		const most = pool.MaxDescribedBytes
		if len(doc) > most {
			err = object.Errorf(object.CodeTooLarge,
				"the results of the tests take %d KiB, at most %d are allowed", len(doc)>>10, most>>10)
		}
		var e link.Encoder
		e.Begin(link.Described, request)
		if err != nil {
			e.PutReply(object.Reply{Exception: true, Payload: []byte(reason(object.AsError(err)))}, true, nil)
		} else {
			e.PutReply(object.Reply{Payload: doc}, true, nil)
		}
		w.Send(&e)
	}()
	return nil
}

// testTimeout bounds the time of all tests of one object.
const testTimeout = 50 * time.Second

// idle returns the answer to [link.Idle]: 0 jobs, streams or host calls, 1 instances with state, 2 nothing.
func (w *process) idle() byte {
	switch { // a job that opens a stream ends after that: look at the jobs first
	case w.jobs.Busy() || w.pool.HoldsStream() || w.services.InFlight() > 0:
		return 0
	case w.pool.HoldsState():
		return 1
	}
	return 2
}

// longCall has a script that runs for long preempted, and its memory watched.
func (w *process) longCall() {
	nonblock.Long()
	w.memory.Watch(w.jobs.Busy)
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

// Reply sends the reply of a job that ran. The reply of a short job waits for those of other running jobs, so that one
// system call writes them.
func (w *process) Reply(r job.Reply) (err error) {
	leads := w.leader.Leads(r.Term)
	large := len(r.Frame)+len(r.Rest[0])+len(r.Rest[1]) > link.Large
	if leads && large {
		w.leader.TakeOver() // writing it may wait
	}
	switch {
	case leads && !large: // then Rest is empty
		if _, err = w.out.AppendBounded(r.Frame); r.Steps > longSteps {
			w.out.TryFlush()
		}
	case r.Last || large || r.Steps > longSteps:
		_, err = w.out.WriteParts(r.Frame, r.Rest[:]...)
	default:
		_, err = w.out.Queue(r.Frame)
	}
	return err
}
