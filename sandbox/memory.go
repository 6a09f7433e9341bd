package sandbox

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/sandbox/lua"
)

// Usage is the memory that a running state holds, for another goroutine. The zero value is ready to use.
type Usage struct {
	asked, answered atomic.Uint64 // numbers of Ask
	held            atomic.Int64
}

// Ask makes the running state count what it holds, within some thousand steps. Each round of questions has another
// number, above 0.
func (u *Usage) Ask(round uint64) { u.asked.Store(round) }

// Held returns the bytes that the state held when it answered a round. ok is false until then: the state may not have
// been asked, be at rest, or wait for another object.
func (u *Usage) Held(round uint64) (bytes int64, ok bool) {
	if u.answered.Load() != round {
		return 0, false
	}
	return u.held.Load(), true
}

// Report makes the state count for u.
func (s *State) Report(u *Usage) { s.meter.fence.usage = u }

// fence is a state's limit of memory. The VM counts what it allocates, but not what becomes garbage. So the
// limit is exceeded at the earliest when what was in use at the last count, and all that was allocated since,
// exceed it. Only then the values in use are counted again. The limit holds within an eighth.
//
// Garbage of all states of the process is bounded by its soft memory limit: near it, a call waits until the budget of
// the process has ended those that hold most. As memory is counted before it is allocated, what one
// allocation takes is known then.
type fence struct {
	s       *State
	limit   int64
	held    int64  // in use at the last count
	counted int64  // the VM's allocated bytes at the last count
	sampled int64  // and when the room of the process was taken last
	share   share  // what is about to be allocated
	result  share  // what a result takes
	usage   *Usage // nil if it is not reported
}

// sampleEvery is how many bytes a script allocates between two looks at the heap of the process.
const sampleEvery = 1 << 20

func newFence(s *State) *fence {
	return &fence{s: s, limit: s.p.limits.Memory, share: newShare(), result: newShare()}
}

// begin begins a call: the result of the last one was sent.
func (f *fence) begin() {
	processRoom.release(&f.result)
}

// end notes that nothing runs any more. A state that was not made yet has no fence.
func (f *fence) end() {
	if f != nil {
		processRoom.release(&f.share)
	}
}

// Sent notes that the result of the last call was handed on: until then memory of the process is reserved for it. The
// next call and Close imply it.
func (s *State) Sent() { processRoom.release(&s.meter.fence.result) }

// reserve takes n bytes of the process's memory until Sent, for a result that is about to be written.
func (f *fence) reserve(n int64) *object.Error {
	if !f.s.meter.active || processRoom.take(&f.result, n) {
		return nil
	}
	return f.await(&f.result, n)
}

// check returns the error of the limit if it is exceeded.
func (f *fence) check() *object.Error {
	processRoom.release(&f.share) // it has been allocated
	allocated := f.s.vm.Allocated
	asked := f.asked()
	if asked > 0 || f.held+allocated-f.counted > f.limit {
		f.counted = allocated
		f.held = f.s.HeldBytes(f.limit)
		if asked > 0 {
			f.usage.held.Store(f.held)
			f.usage.answered.Store(asked)
		}
		if f.held > f.limit {
			return f.exceeded()
		}
		f.held = min(f.held, f.limit-f.limit/8) // or the next count would be due at once
	}
	if coming := allocated - f.sampled; coming >= sampleEvery {
		f.sampled = allocated
		if !processRoom.take(&f.share, coming) {
			return f.await(&f.share, coming)
		}
	}
	return nil
}

// asked returns the round of questions that the state has not answered, 0 if there is none.
func (f *fence) asked() uint64 {
	if f.usage == nil {
		return 0
	}
	if round := f.usage.asked.Load(); round != f.usage.answered.Load() {
		return round
	}
	return 0
}

// A call waits for room in the process in so many turns, and collects garbage in every eighth.
const (
	roomTurns    = 400
	roomTurn     = 5 * time.Millisecond
	collectTurns = 8
)

// await waits until so many bytes fit into the process, whose budget ends the calls that hold most meanwhile.
func (f *fence) await(s *share, coming int64) *object.Error {
	for turn := range roomTurns {
		<-time.After(roomTurn)
		if why := f.s.meter.ended(); why != nil {
			return why
		}
		if turn%collectTurns == 0 {
			processRoom.tryCollect(s) // what ended calls held may be garbage by now
		}
		if processRoom.take(s, coming) {
			return nil
		}
	}
	return object.Errorf(object.CodeExhausted, "limit exceeded: the memory of the tenant's worker; the call was executed in part")
}

func (f *fence) exceeded() *object.Error {
	return object.Errorf(object.CodeExhausted, "limit exceeded: %s of memory; the call was executed in part", sizeText(f.limit))
}

// HeldBytes returns the bytes of the values that the state holds, counted up to a little more than most. It
// takes time in proportion, some 20 ns a value. Like all methods it belongs to the goroutine of the state.
func (s *State) HeldBytes(most int64) int64 {
	if s.vm == nil {
		return 0
	}
	roots := make([]lua.Value, 0, 4+2*len(s.defs))
	roots = append(roots, s.env.Value(), s.self.Value())
	if s.def != nil {
		roots = append(roots, s.def.table.Value(), s.def.proto.Value())
	}
	for _, d := range s.defs {
		roots = append(roots, d.table.Value())
	}
	for i := range s.build.frames { // arguments that are being read
		roots = append(roots, s.build.frames[i].t.Value())
	}
	roots = append(roots, s.build.values...)
	for i := range s.build.calls {
		roots = append(roots, s.build.calls[i].kwargs.Value())
	}
	roots = s.batched.roots(roots)
	return s.vm.Held(most, roots...)
}

// sizeText shows a number of bytes.
func sizeText(n int64) string {
	for _, u := range []struct {
		bytes int64
		name  string
	}{{1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}} {
		if n%u.bytes == 0 {
			return fmt.Sprintf("%d %s", n/u.bytes, u.name)
		}
	}
	return fmt.Sprintf("%d bytes", n)
}
