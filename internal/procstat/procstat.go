// Package procstat measures the processor time and memory of one tenant's processes, running and ended ones. All
// figures are from the kernel, none from the processes.
package procstat

import (
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Processes measures the processes of one tenant. The zero value is ready to use. Safe for concurrent use.
type Processes struct {
	dropped  atomic.Uint64
	lost     atomic.Uint64
	unloaded atomic.Uint64

	mu      sync.Mutex // guards the fields below
	running map[int]*process
	ended   time.Duration // processor time of ended processes
	peak    int64
	starts  uint64
	crashes uint64
}

// process is a running process.
type process struct {
	started uint64 // start time in the kernel's ticks, which identifies the process; 0 before the first sample
	last    sample
}

// sample holds the figures of a process at one time.
type sample struct {
	started uint64        // start time in the kernel's ticks
	cpu     time.Duration // of the process and of the children that it has waited for
	memory  int64         // resident bytes
	peak    int64         // largest number of resident bytes
}

// Spent holds the totals of a tenant's processes.
type Spent struct {
	// CPU is the processor time of all processes and of the children that they have waited for. For running
	// processes it is accurate to 10 ms, and missing on systems without /proc.
	CPU time.Duration
	// MemoryBytes is the resident memory of the running processes. Shared pages count for each process. It is 0 on
	// systems without /proc.
	MemoryBytes int64
	// PeakBytes is the largest resident memory of one process in any sample. Growth between the last sample and the
	// end of a process is missing.
	PeakBytes int64

	Running    int    // running processes
	Starts     uint64 // started processes
	Crashes    uint64 // unexpected ends and failed starts
	LogDropped uint64 // log lines dropped by the rate limit
	StatesLost uint64 // instances that were ended early and lost their state
	Unloaded   uint64 // idle instances of keyed objects that were unloaded
}

// Started adds a process. It takes no sample: a call waits for the first answer of the process.
func (p *Processes) Started(pid int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running == nil {
		p.running = map[int]*process{}
	}
	p.running[pid] = new(process)
	p.starts++
}

// Ended removes a process after it was waited for. state is the result of the wait. With nil the last sample counts.
func (p *Processes) Ended(pid int, state *os.ProcessState) {
	p.mu.Lock()
	defer p.mu.Unlock()
	one := p.running[pid]
	if one == nil {
		return
	}
	delete(p.running, pid)
	cpu := one.last.cpu
	if state != nil {
		cpu = max(cpu, state.UserTime()+state.SystemTime())
	}
	p.ended += cpu
}

// Crashed counts an unexpected end or a failed start.
func (p *Processes) Crashed() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.crashes++
}

// DroppedLines counts log lines that were dropped.
func (p *Processes) DroppedLines(n uint64) { p.dropped.Add(n) }

// LostState counts an instance that was ended early.
func (p *Processes) LostState() { p.lost.Add(1) }

// Unloaded counts an idle instance of a keyed object that was unloaded.
func (p *Processes) Unloaded() { p.unloaded.Add(1) }

// Spent samples the running processes and returns the totals. CPU, PeakBytes and the counts never decrease.
func (p *Processes) Spent() Spent {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := Spent{
		CPU:        p.ended,
		Running:    len(p.running),
		Starts:     p.starts,
		Crashes:    p.crashes,
		LogDropped: p.dropped.Load(),
		StatesLost: p.lost.Load(),
		Unloaded:   p.unloaded.Load(),
	}
	for pid, one := range p.running {
		// A process that has just ended may have been waited for, and its number may belong to another process.
		if r, ok := takeSample(pid); ok && (one.started == 0 || one.started == r.started) {
			r.cpu, r.peak = max(r.cpu, one.last.cpu), max(r.peak, one.last.peak)
			one.started, one.last = r.started, r
			s.MemoryBytes += r.memory
		}
		s.CPU += one.last.cpu
		p.peak = max(p.peak, one.last.peak)
	}
	s.PeakBytes = p.peak
	return s
}

// Self returns the figures of this process, without its children. Memory is 0 on systems without /proc.
func Self() Spent {
	r, _ := takeSample(os.Getpid())
	s := Spent{MemoryBytes: r.memory, PeakBytes: r.peak, Running: 1}
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) == nil {
		s.CPU = time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	return s
}
