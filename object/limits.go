package object

import "time"

// Limits are the limits of one object. A zero field means its default, which [Limits.WithDefaults] fills in.
type Limits struct {
	// Steps bounds the VM instructions of one call; default 50 million, about a second. Built-in functions charge
	// for work that grows with their arguments.
	Steps int64 `json:"steps,omitempty"`
	// LoadSteps bounds the VM instructions of loading the script; default Steps.
	LoadSteps int64 `json:"load_steps,omitempty"`
	// MaxDuration bounds the time of one call, calls of other objects included; default 5 s. It is checked every few
	// hundred steps: one long built-in function can exceed it.
	MaxDuration time.Duration `json:"max_duration,omitempty"`
	// Memory bounds the bytes of an instance and its running call; default 64 MiB. It is an estimate, within a factor
	// of two.
	Memory int64 `json:"memory,omitempty"`
	// SourceBytes bounds a script and each of its modules; default 64 KiB, maximum 1 MiB.
	SourceBytes int `json:"source,omitempty"`
	// ArgumentBytes bounds the received payload of a call, ResultBytes the payload of a result; default 8 MiB,
	// maximum 32 MiB.
	ArgumentBytes int `json:"arguments,omitempty"`
	ResultBytes   int `json:"result,omitempty"`
	// CallDepth bounds the depth of Lua calls; default 10,000.
	CallDepth int `json:"depth,omitempty"`
	// Coroutines bounds the live coroutines of a state; default 1,000.
	Coroutines int `json:"coroutines,omitempty"`
	// Queue bounds the calls that wait for an instance; default 256.
	Queue int `json:"queue,omitempty"`
	// Parallel bounds the running calls of an object of mode "call"; default 64.
	Parallel int `json:"parallel,omitempty"`
	// Sessions bounds the instances of an object of mode "session"; default 1,000.
	Sessions int `json:"sessions,omitempty"`
	// Instances bounds the instances of an object of mode "keyed" that exist at a time; default 2,000. A call of a
	// further key ends the instance that has been idle longest. An instance takes at least 68 KB of a worker.
	Instances int `json:"instances,omitempty"`
	// InstanceIdle is the time without calls after which an instance of an object of mode "keyed" ends; default 60 s.
	InstanceIdle time.Duration `json:"instance_idle,omitempty"`
	// LogLines bounds the log lines of an object per second; default 100. Further lines are counted and dropped.
	LogLines int `json:"log_lines,omitempty"`
	// StoreBytes bounds the durable state of an object; default 64 MiB. StoreValue bounds one value of it; default
	// 1 MiB, maximum 4 MiB.
	StoreBytes int64 `json:"store,omitempty"`
	StoreValue int   `json:"store_value,omitempty"`
}

// Maxima of limits.
const (
	MaxSourceBytes  = 1 << 20
	MaxMessageBytes = 32 << 20 // of a call or a reply
	MaxStoreValue   = 4 << 20  // of a value in the durable state
)

// MaxBatch bounds the calls of a batch.
const MaxBatch = 5000

// DefaultMessageBytes is the default bound of the payloads of calls and results.
const DefaultMessageBytes = 8 << 20

// DefaultWorkerBytes is the default memory of a tenant's worker process.
const DefaultWorkerBytes = 512 << 20

// MaxInstanceBytes returns the bound on the bytes of all instances of a worker with that much memory. Garbage that is
// not yet collected comes on top.
func MaxInstanceBytes(worker int64) int64 { return worker / 8 * 3 }

// SmallInstanceBytes is the approximate memory that the smallest instance of a keyed object takes.
const SmallInstanceBytes = 17 << 10

// MaxPendingArguments returns the bound on the argument bytes of all unanswered calls of a worker with that much
// memory.
func MaxPendingArguments(worker int64) int64 { return worker / 4 }

// MaxPendingResults returns the bound on the bytes of results that wait in the worker to be sent.
func MaxPendingResults(worker int64) int64 { return worker / 8 }

// WithDefaults returns the limits with defaults for zero fields.
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
	l.Instances = orDefault(l.Instances, 2000)
	l.InstanceIdle = orDefault(l.InstanceIdle, time.Minute)
	l.LogLines = orDefault(l.LogLines, 100)
	l.StoreBytes = orDefault(l.StoreBytes, 64<<20)
	l.StoreValue = min(orDefault(l.StoreValue, 1<<20), MaxStoreValue)
	return l
}

// WithBase returns the limits with the fields of base for zero fields.
func (l Limits) WithBase(base Limits) Limits {
	return Limits{
		Steps:         orDefault(l.Steps, base.Steps),
		LoadSteps:     orDefault(l.LoadSteps, base.LoadSteps),
		MaxDuration:   orDefault(l.MaxDuration, base.MaxDuration),
		Memory:        orDefault(l.Memory, base.Memory),
		SourceBytes:   orDefault(l.SourceBytes, base.SourceBytes),
		ArgumentBytes: orDefault(l.ArgumentBytes, base.ArgumentBytes),
		ResultBytes:   orDefault(l.ResultBytes, base.ResultBytes),
		CallDepth:     orDefault(l.CallDepth, base.CallDepth),
		Coroutines:    orDefault(l.Coroutines, base.Coroutines),
		Queue:         orDefault(l.Queue, base.Queue),
		Parallel:      orDefault(l.Parallel, base.Parallel),
		Sessions:      orDefault(l.Sessions, base.Sessions),
		Instances:     orDefault(l.Instances, base.Instances),
		InstanceIdle:  orDefault(l.InstanceIdle, base.InstanceIdle),
		LogLines:      orDefault(l.LogLines, base.LogLines),
		StoreBytes:    orDefault(l.StoreBytes, base.StoreBytes),
		StoreValue:    orDefault(l.StoreValue, base.StoreValue),
	}
}

func orDefault[T int | int64 | time.Duration](v, def T) T {
	if v <= 0 {
		return def
	}
	return v
}
