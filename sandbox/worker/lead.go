package worker

import (
	"runtime"
	"time"

	"github.com/hearthhost/hearth/sandbox/link"
)

// leadership is the state of the leader: the goroutine that reads the link. process.mu guards it.
//
// The leader runs the calls that it reads itself, which saves waking another goroutine for each call. It writes the
// replies of all frames that it has read together, as far as the socket accepts them at once.
//
// While the leader runs a call, no goroutine reads. So before it waits or when it computes for long, another goroutine
// takes over: it becomes the leader of the next term. The former leader then is an ordinary goroutine that runs the
// call to its end. It takes over
//
//   - before a call waits for the host, for memory of another version or for room in the socket,
//   - when a call has computed for some thousand steps,
//   - when one run took longer than watchdogInterval for any other reason, such as a long native function.
type leadership struct {
	term    uint64 // number of the current leader
	running bool   // the leader runs an actor and does not read
	runs    uint64 // actors that leaders began to run

	watchdog *time.Timer // fires while leaders run actors
	watching bool        // watchdog is armed
	watched  uint64      // runs at the last check
}

// watchdogInterval is the time between two checks of whether the leader still runs the same actor.
const watchdogInterval = 2 * time.Millisecond

// lead reads frames and runs calls until the link ends or another goroutine takes over. It is the leader's goroutine.
func (w *process) lead(term uint64) {
	for {
		f, ok, err := w.in.Next()
		var a *actor
		switch {
		case err != nil:
		case ok:
			a, err = w.frame(f)
		default:
			w.out.TryFlush()
			if w.busy() {
				runtime.Gosched() // frames that always come must not delay the other jobs
			}
			err = w.in.Fill(w.linger)
		}
		if err != nil {
			w.linkEnd <- err
			return
		}
		if a != nil && !w.runAsLeader(a, term) {
			return
		}
	}
}

// runAsLeader runs an actor in the leader's goroutine. It reports whether the goroutine is the leader afterwards.
func (w *process) runAsLeader(a *actor, term uint64) bool {
	w.mu.Lock()
	w.leader.running = true
	w.leader.runs++
	if !w.leader.watching {
		w.watchLocked()
	}
	w.mu.Unlock()
	a.run(term)
	w.mu.Lock()
	leads := w.leader.term == term
	if leads {
		w.leader.running = false
	}
	w.mu.Unlock()
	if !leads {
		w.out.Flush() // a reply may have come after takeOver has flushed
	}
	return leads
}

// takeOver makes another goroutine the leader if the leader is running an actor, and sends the replies that have waited
// for others. It does not wait. Any goroutine may call it: a call without need is harmless.
func (w *process) takeOver() {
	w.mu.Lock()
	took := w.takeOverLocked()
	w.mu.Unlock()
	if took {
		w.out.TryFlush() // the other goroutine may have to wait for the processor
	}
}

// takeOverLocked is takeOver without sending the replies: the next leader sends them when it waits for frames. It
// reports whether there is a next leader.
func (w *process) takeOverLocked() bool {
	if !w.leader.running {
		return false
	}
	w.leader.running = false
	w.leader.term++
	w.crew.do(task{term: w.leader.term})
	return true
}

// watchLocked arms the watchdog.
func (w *process) watchLocked() {
	w.leader.watching = true
	w.leader.watched = w.leader.runs
	if w.leader.watchdog == nil {
		w.leader.watchdog = time.AfterFunc(watchdogInterval, w.checkLeader)
		return
	}
	w.leader.watchdog.Reset(watchdogInterval)
}

// checkLeader takes over if the leader runs the same actor as at the last check. It is the watchdog's function.
func (w *process) checkLeader() {
	w.mu.Lock()
	took := false
	if w.leader.runs != w.leader.watched {
		w.watchLocked()
	} else { // the next run arms the watchdog
		w.leader.watching = false
		took = w.takeOverLocked()
	}
	w.mu.Unlock()
	if took {
		w.out.TryFlush()
	}
}

// SendAndWait sends a frame for a goroutine that then waits for the host. If that is the leader, the next leader sends
// the frame together with others. SendAndWait itself does not wait.
func (w *process) SendAndWait(e *link.Encoder) {
	_ = w.out.Append(e.Frame())
	w.mu.Lock()
	took := w.takeOverLocked()
	w.mu.Unlock()
	if !took {
		w.out.TryFlush()
	}
}

// Send writes a frame. It may wait until the host reads. It ignores errors: the leader sees that the host has closed
// the socket.
func (w *process) Send(e *link.Encoder) {
	if w.out.Append(e.Frame()) == nil && w.out.TryFlush() {
		return
	}
	w.takeOver()
	w.out.Flush()
}
