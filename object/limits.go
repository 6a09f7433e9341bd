package object

import "time"

// Limits bound what one object may spend. The zero value of each field means its default,
// which [Limits.WithDefaults] fills in.
type Limits struct {
	// Steps is how many VM instructions one call may take; default 50 million, about a
	// second. Built-in functions charge for work that grows with their arguments.
	Steps int64 `json:"steps,omitempty"`
	// LoadSteps is the same for running the script once when it is loaded; default Steps.
	LoadSteps int64 `json:"load_steps,omitempty"`
	// MaxDuration is how long one call may take, waiting for other objects included; default 5 s.
	// It is looked at every few hundred steps, so one long built-in can overrun it.
	MaxDuration time.Duration `json:"max_duration,omitempty"`
	// Memory is how many bytes an instance may hold, what a running call holds included;
	// default 64 MiB. It is an estimate, within a factor of two.
	Memory int64 `json:"memory,omitempty"`
	// SourceBytes bounds a script and each of its modules; default 64 KiB, at most 1 MiB.
	SourceBytes int `json:"source,omitempty"`
	// ArgumentBytes bounds a call's payload as it comes, and ResultBytes what a result
	// takes; default 8 MiB, at most 32 MiB.
	ArgumentBytes int `json:"arguments,omitempty"`
	ResultBytes   int `json:"result,omitempty"`
	// CallDepth bounds how deep Lua functions call each other; default 10,000.
	CallDepth int `json:"depth,omitempty"`
	// Coroutines bounds the live coroutines of a state; default 1,000.
	Coroutines int `json:"coroutines,omitempty"`
	// Queue is how many calls may wait for an instance; default 256.
	Queue int `json:"queue,omitempty"`
	// Parallel is how many calls of an object of mode "call" run at a time; default 64.
	Parallel int `json:"parallel,omitempty"`
	// Sessions is how many instances an object of mode "session" has; default 1,000.
	Sessions int `json:"sessions,omitempty"`
	// LogLines is how many lines a second an object may log; default 100. What is more is
	// counted.
	LogLines int `json:"log_lines,omitempty"`
}

// Bounds that limits cannot pass.
const (
	MaxSourceBytes  = 1 << 20
	MaxMessageBytes = 32 << 20 // of a call or an answer
)

// MaxBatch is how many calls a batch may have.
const MaxBatch = 5000

// DefaultMessageBytes is the bound on a call's payload, and on a result, where nothing else
// is said.
const DefaultMessageBytes = 8 << 20

// DefaultWorkerBytes is the memory of a tenant's worker process where the policy sets none.
const DefaultWorkerBytes = 512 << 20

// MaxInstanceBytes returns how many bytes all instances of a worker may hold together, of a worker
// with that much memory. Garbage, which is collected late, comes on top.
func MaxInstanceBytes(worker int64) int64 { return worker / 8 * 3 }

// MaxPendingArguments returns the bound on the bytes of the arguments of several calls that a worker
// with that much memory has not answered.
func MaxPendingArguments(worker int64) int64 { return worker / 4 }

// MaxPendingResults returns the bound on the bytes of results that wait in such a worker for the host.
func MaxPendingResults(worker int64) int64 { return worker / 8 }

// WithDefaults returns the limits with defaults in place of zeros.
func (l Limits) WithDefaults() Limits {
	l.Steps = orDefault(l.Steps, 50_000_000)
	l.LoadSteps = orDefault(l.LoadSteps, l.Steps)
	l.MaxDuration = orDefault(l.MaxDuration, 5*time.Second)
	l.Memory = orDefault(l.Memory, 64<<20)
	l.SourceBytes = min(orDefault(l.SourceBytes, 64<<10), MaxSourceBytes)
	l.ArgumentBytes = min(orDefault(l.ArgumentBytes, DefaultMessageBytes), MaxMessageBytes)
	l.ResultBytes = min(orDefault(l.ResultBytes, DefaultMessageBytes), MaxMessageBytes)
	l.CallDepth = orDefault(l.CallDepth, 10_000)
	l.Coroutines = orDefault(l.Coroutines, 1000)
	l.Queue = orDefault(l.Queue, 256)
	l.Parallel = orDefault(l.Parallel, 64)
	l.Sessions = orDefault(l.Sessions, 1000)
	l.LogLines = orDefault(l.LogLines, 100)
	return l
}

// Over returns the limits with those of base in place of zeros.
func (l Limits) WithBase(base Limits) Limits {
	return Limits{
		Steps: orDefault(l.Steps, base.Steps), LoadSteps: orDefault(l.LoadSteps, base.LoadSteps),
		MaxDuration: orDefault(l.MaxDuration, base.MaxDuration), Memory: orDefault(l.Memory, base.Memory),
		SourceBytes: orDefault(l.SourceBytes, base.SourceBytes), ArgumentBytes: orDefault(l.ArgumentBytes, base.ArgumentBytes),
		ResultBytes: orDefault(l.ResultBytes, base.ResultBytes), CallDepth: orDefault(l.CallDepth, base.CallDepth),
		Coroutines: orDefault(l.Coroutines, base.Coroutines), Queue: orDefault(l.Queue, base.Queue),
		Parallel: orDefault(l.Parallel, base.Parallel), Sessions: orDefault(l.Sessions, base.Sessions),
		LogLines: orDefault(l.LogLines, base.LogLines),
	}
}

func orDefault[T int | int64 | time.Duration](v, def T) T {
	if v <= 0 {
		return def
	}
	return v
}
