// Package observe returns the state of a host for operators: [Status] for the admin socket, and metrics in Prometheus'
// exposition format.
//
// A [Source] names the parts of the host that have counters. Host makes one for each request, since some parts change
// while it serves. The package only reads: it opens no listener (package admin does) and keeps no state. Its methods
// are safe for concurrent use, because the counters are.
package observe

import (
	"time"

	"github.com/hearthhost/hearth/audit"
	"github.com/hearthhost/hearth/gateway/pyro"
	"github.com/hearthhost/hearth/gateway/web"
	"github.com/hearthhost/hearth/host/admit"
	"github.com/hearthhost/hearth/host/backend"
	"github.com/hearthhost/hearth/host/dispatch"
	"github.com/hearthhost/hearth/host/fault"
	"github.com/hearthhost/hearth/host/snapshot"
	"github.com/hearthhost/hearth/host/trace"
	"github.com/hearthhost/hearth/host/usage"
)

// Source has the parts of a host that are observed. All fields are required but Audit and Tracer.
type Source struct {
	Version        string
	PolicyFile     string   // "": the policy does not change
	Addresses      []string // of the listeners
	MetricsAddress string   // of the loopback listener of metrics; "": no such listener

	Snapshot *snapshot.Snapshot // in force
	Backends backend.Set        // of the same generation
	Refusals []fault.Refusal
	Reloads  ReloadStatus // without PolicyRefused

	Dispatcher *dispatch.Dispatcher
	Gateway    *pyro.Server
	Web        *web.Server
	Usage      *usage.Registry
	Shares     *admit.Shares
	Audit      *audit.Log    // nil: no audit log
	Tracer     *trace.Tracer // nil: no tracing
	Store      StoreCounters
}

// StoreCounters counts the work of the durable state.
type StoreCounters struct {
	Commits   int64         // transactions, each with one or more batches
	Batches   int64         // batches of writes
	Time      time.Duration // of all transactions, fsync included
	Conflicts int64         // batches that required another version of a key
	Full      int64         // batches beyond a quota
	Fenced    int64         // batches after another host process had taken the store
	Failures  int64         // failed operations on files
	OpenFiles int
	Sync      Histogram // seconds in which a commit was written to the disk
	Group     Histogram // batches of a transaction
}

// Histogram has observations in classes. Counts has one class more than Bounds, for larger numbers.
type Histogram struct {
	Bounds []float64 // inclusive
	Counts []uint64
	Sum    float64
}
