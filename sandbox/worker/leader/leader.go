// Package leader lets the goroutine that reads a link run calls itself, without a delay of other frames.
//
// Passing each call to another goroutine costs more than most calls. So the leader of a [Group], which reads the link,
// runs the call of each frame itself. It writes the replies to all frames that it has read together, as far as the
// socket accepts them at once.
//
// While the leader runs a call, no goroutine reads. So before it waits or when it computes for long, another goroutine
// takes over: it becomes the leader of the next term. The former leader then is an ordinary goroutine that runs the
// call to its end. It takes over
//
//   - before a call waits for the peer, for another call or for room in the socket: the caller of [Group.TakeOver],
//     [Group.Send] or [Group.SendAndWait],
//   - when a call has computed for some thousand steps: the caller of [Group.Compute],
//   - when one run took longer than watchdogInterval for any other reason, such as a long native function.
//
// While a call computes for long, the leader runs no calls itself but gives each its own goroutine. Otherwise each long
// call would delay the frames after it once more, and the worker would not answer the host's ping in time.
//
// The package is independent of the meaning of frames: it gives each frame to a function and runs the [Runner] that
// this returns.
package leader

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hearthhost/hearth/sandbox/link"
)

// Runner is the work that a frame has caused.
type Runner interface {
	// Run does the work. term is that of the leader if the leader calls it, otherwise 0. While [Group.Leads] reports
	// true for term, Run must not wait: it sends its replies by [link.Writer.AppendBounded], and TakeOver ends that.
	Run(term uint64)
}

// Group is the goroutines that lead in turn, and those that run other work.
type Group struct {
	out    *link.Writer
	handle func(link.Frame) (Runner, error)
	busy   func() bool
	crew   crew

	// Of Serve. They belong to the leader.
	in     *link.Reader
	linger bool

	state  atomic.Uint64 // term of the leader << 1, with bit 0 set while it runs a Runner and does not read
	failed chan error    // receives the error that ends the link

	runs     atomic.Uint64 // Runners that leaders began to run
	watchdog *time.Timer   // fires while leaders run Runners
	watching atomic.Bool   // watchdog is armed
	watched  atomic.Uint64 // runs at the last check

	computing atomic.Int32        // length of computers
	mu        sync.Mutex          // guards computers
	computers map[uint64]struct{} // terms of former leaders that still compute
}

// watchdogInterval is the time between two checks of whether the leader still runs the same Runner.
const watchdogInterval = 2 * time.Millisecond

// New returns a group whose leader gives each frame to handle and runs the Runner that it returns, if any. Frames are
// written by out. busy reports whether other goroutines have work that the leader should let them do.
func New(out *link.Writer, handle func(link.Frame) (Runner, error), busy func() bool) *Group {
	g := &Group{out: out, handle: handle, busy: busy, failed: make(chan error, 1), computers: map[uint64]struct{}{}}
	g.state.Store(firstTerm << 1)
	g.crew.init(g)
	g.watchdog = time.AfterFunc(time.Hour, g.check)
	g.watchdog.Stop()
	return g
}

const firstTerm = 1 // 0 is no term

// Serve reads a link until it ends, and returns the error that ended it. It is called once. linger is that of
// [link.Reader.Fill].
func (g *Group) Serve(in *link.Reader, linger bool) error {
	g.in, g.linger = in, linger
	in.BeforeSleep = g.rest
	g.crew.do(task{term: firstTerm})
	return <-g.failed
}

// Go runs r in another goroutine.
func (g *Group) Go(r Runner) { g.crew.do(task{runner: r}) }

// End lets the goroutines end that have no work. Work that comes later is done, too.
func (g *Group) End() {
	g.watchdog.Stop()
	g.crew.end()
}

// lead reads frames and runs their work until the link ends or another goroutine takes over. It is the leader's
// goroutine.
func (g *Group) lead(term uint64) {
	for {
		f, ok, err := g.in.Next()
		var r Runner
		switch {
		case err != nil:
		case ok:
			r, err = g.handle(f)
		default:
			g.out.TryFlush()
			if g.busy() {
				runtime.Gosched() // frames that always come must not delay the other work
			}
			err = g.in.Fill(g.linger)
		}
		if err != nil {
			g.failed <- err
			return
		}
		switch {
		case r == nil:
		case g.computing.Load() > 0:
			g.Go(r)
		case !g.run(r, term):
			return
		}
	}
}

// run runs a Runner in the leader's goroutine. It reports whether the goroutine is the leader afterwards.
func (g *Group) run(r Runner, term uint64) bool {
	g.runs.Add(1)
	g.state.Store(term<<1 | 1)
	if !g.watching.Load() { // after state is stored: check reads them in the other order
		g.watching.Store(true)
		g.watchdog.Reset(watchdogInterval)
	}
	r.Run(term)
	if g.state.CompareAndSwap(term<<1|1, term<<1) {
		return true
	}
	g.out.Flush() // a reply may have come after TakeOver has flushed
	if g.computing.Load() > 0 {
		g.setComputing(term, false)
	}
	return false
}

// setComputing notes that the former leader of a term computes for long, or that its Runner has ended.
func (g *Group) setComputing(term uint64, is bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if is {
		g.computers[term] = struct{}{}
	} else {
		delete(g.computers, term)
	}
	g.computing.Store(int32(len(g.computers)))
}

// Leads reports whether the leader of a term runs a Runner and no goroutine has taken over.
func (g *Group) Leads(term uint64) bool { return g.state.Load() == term<<1|1 }

// TakeOver makes another goroutine the leader if the leader is running a Runner, and sends the replies that have waited
// for others. It does not wait. Any goroutine may call it: a call without need is harmless.
func (g *Group) TakeOver() {
	if g.replaceLeader(false) {
		g.out.TryFlush() // the next leader may have to wait for the processor
	}
}

// Compute is TakeOver for a call that computes for long: until its Runner ends, other Runners have separate
// goroutines.
func (g *Group) Compute() {
	if g.replaceLeader(true) {
		g.out.TryFlush()
	}
}

// replaceLeader is TakeOver or Compute without sending the replies: the next leader sends them when it waits for
// frames. It reports whether there is a next leader.
func (g *Group) replaceLeader(computes bool) bool {
	s := g.state.Load()
	if s&1 == 0 {
		return false // it reads
	}
	if computes { // before the former leader can end its Runner
		g.setComputing(s>>1, true)
	}
	if !g.state.CompareAndSwap(s, (s>>1+1)<<1) {
		if computes { // another goroutine was faster, or the Runner has ended
			g.setComputing(s>>1, false)
		}
		return false
	}
	g.crew.do(task{term: s>>1 + 1})
	return true
}

// rest stops the watchdog before the leader sleeps: otherwise it would wake the idle process twice after each call.
func (g *Group) rest() {
	if g.watching.Load() {
		g.watchdog.Stop()
		g.watching.Store(false) // if check runs and arms the watchdog again, that is harmless
	}
}

// check takes over if the leader runs the same Runner as at the last check. It is the watchdog's function.
func (g *Group) check() {
	if runs := g.runs.Load(); g.watched.Swap(runs) != runs {
		g.watchdog.Reset(watchdogInterval)
		return
	}
	g.Compute()
	g.watching.Store(false) // the next run arms the watchdog
	if g.state.Load()&1 != 0 && !g.watching.Swap(true) {
		g.watchdog.Reset(watchdogInterval) // it began before it could see that
	}
}

// Send writes a frame. It may wait until the peer reads; then another goroutine leads. It ignores errors: the leader
// finds that the link has ended.
func (g *Group) Send(e *link.Encoder) {
	if g.out.Append(e.Frame()) == nil && g.out.TryFlush() {
		return
	}
	g.TakeOver()
	g.out.Flush()
}

// SendAndWait sends a frame for a goroutine that then waits for the peer. If that is the leader, the next leader sends
// the frame together with others. SendAndWait itself does not wait.
func (g *Group) SendAndWait(e *link.Encoder) {
	_ = g.out.Append(e.Frame()) // the leader finds an error
	if !g.replaceLeader(false) {
		g.out.TryFlush()
	}
}
