// Package procstat counts what the processes of one tenant spend, workers and plugins
// alike: those that run and those that have ended. It believes the kernel and never the
// processes, and knows nothing of what they run.
package procstat

import (
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Processes is the account of one tenant's processes. The zero value is empty and ready.
// Safe for concurrent use.
type Processes struct {
	dropped atomic.Uint64
	lost    atomic.Uint64

	mu      sync.Mutex // guards what follows
	live    map[int]*process
	ended   time.Duration // what those that have ended took
	peak    int64
	starts  uint64
	crashes uint64
}

// process is one that runs.
type process struct {
	born uint64 // tells it from a later one with its number; 0: it was not looked at yet
	last reading
}

// reading is what the kernel tells of a process.
type reading struct {
	born   uint64        // when it was started, in the kernel's ticks
	cpu    time.Duration // its own and that of children it has waited for
	memory int64         // bytes in memory now
	peak   int64         // and at most so far
}

// Spent is what an account has come to.
type Spent struct {
	// CPU is the processor time of all processes, the children included that they have
	// waited for. That of running ones is to the hundredth of a second, and missing where
	// the system has no /proc.
	CPU time.Duration
	// MemoryBytes is what the running processes hold in memory now, pages that they share
	// counted for each; 0 where the system has no /proc.
	MemoryBytes int64
	// PeakBytes is the most that one process has held, as far as it was seen: what a process
	// took between the last look and its end is missed.
	PeakBytes int64

	Running    int    // processes now
	Starts     uint64 // so far
	Crashes    uint64 // ends that nobody wanted, and starts that came to nothing
	LogDropped uint64 // lines that were logged too fast and left out
	StatesLost uint64 // instances that ended before their time, with what they held
}

// Started enters a process. It does not look at it: somebody waits for its first answer.
func (p *Processes) Started(pid int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.live == nil {
		p.live = map[int]*process{}
	}
	p.live[pid] = new(process)
	p.starts++
}

// Ended takes a process out that has been waited for. state is what waiting said; nil if
// it said nothing, and then what was seen last counts.
func (p *Processes) Ended(pid int, state *os.ProcessState) {
	p.mu.Lock()
	defer p.mu.Unlock()
	one := p.live[pid]
	if one == nil {
		return
	}
	delete(p.live, pid)
	cpu := one.last.cpu
	if state != nil {
		cpu = max(cpu, state.UserTime()+state.SystemTime())
	}
	p.ended += cpu
}

// Crashed counts an end that nobody wanted, or a start that came to nothing.
func (p *Processes) Crashed() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.crashes++
}

// DroppedLines counts lines of the log that were left out.
func (p *Processes) DroppedLines(n uint64) { p.dropped.Add(n) }

// LostState counts an instance that ended before its time.
func (p *Processes) LostState() { p.lost.Add(1) }

// Spent looks at the running processes and returns what the account has come to. CPU,
// PeakBytes and the counts never become less.
func (p *Processes) Spent() Spent {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := Spent{CPU: p.ended, Running: len(p.live), Starts: p.starts, Crashes: p.crashes, LogDropped: p.dropped.Load(), StatesLost: p.lost.Load()}
	for pid, one := range p.live {
		// One that has just ended may have been waited for, and its number be another's.
		if r, ok := look(pid); ok && (one.born == 0 || one.born == r.born) {
			r.cpu, r.peak = max(r.cpu, one.last.cpu), max(r.peak, one.last.peak)
			one.born, one.last = r.born, r
			s.MemoryBytes += r.memory
		}
		s.CPU += one.last.cpu
		p.peak = max(p.peak, one.last.peak)
	}
	s.PeakBytes = p.peak
	return s
}

// Self returns what this process itself has spent, without its children; memory is 0 where
// the system has no /proc.
func Self() Spent {
	r, _ := look(os.Getpid())
	s := Spent{MemoryBytes: r.memory, PeakBytes: r.peak, Running: 1}
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) == nil {
		s.CPU = time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	return s
}
