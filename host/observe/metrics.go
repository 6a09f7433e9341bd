package observe

import (
	"maps"
	"runtime"
	"runtime/metrics"
	"slices"
	"time"

	"github.com/hearthhost/hearth/host/backend"
	"github.com/hearthhost/hearth/host/usage"
	"github.com/hearthhost/hearth/internal/procstat"
	"github.com/hearthhost/hearth/object"
)

// Metrics returns all metrics in Prometheus' exposition format; doc/metrics.md lists them. Label values are only
// tenants, codes, states and listeners, so that callers cannot add time series.
func (o *Source) Metrics() []byte {
	var e exposition
	o.hostMetrics(&e)
	o.tenantMetrics(&e)
	o.auditMetrics(&e)
	o.storeMetrics(&e)
	processMetrics(&e)
	return e.b
}

// hostMetrics adds the metrics of the whole host.
func (o *Source) hostMetrics(e *exposition) {
	s := o.Status()
	e.family("hearth_build_info", gauge, "Always 1; the labels identify the build.")
	e.count(1, "version", s.Version, "go", runtime.Version())
	e.family("hearth_start_time_seconds", gauge, "Start time of the host, in seconds since 1970.")
	e.value(float64(s.Since.UnixMilli()) / 1e3)
	e.family("hearth_draining", gauge, "1 while the host finishes running calls before it stops.")
	e.count(one(s.Draining))
	e.family("hearth_tenants", gauge, "Served tenants.")
	e.count(uint64(s.Tenants))
	e.family("hearth_objects", gauge, "Served objects.")
	e.count(uint64(s.Objects))
	e.family("hearth_refusals", gauge, "Files whose current content is not served, and other faulty files of the host.")
	refused := 0
	for _, r := range s.Refusals {
		if !r.Note {
			refused++
		}
	}
	e.count(uint64(refused))
	e.family("hearth_policy_refused", gauge, "1 if the policy file does not load and an older policy is in force.")
	e.count(one(s.Reloads.PolicyRefused))

	e.family("hearth_reloads_total", counter, "Changes of objects, plugins and policy, by result.")
	e.count(s.Reloads.Applied, "result", "applied")
	e.count(s.Reloads.Refused, "result", "refused")
	e.family("hearth_reload_time_seconds", gauge,
		"Time of the last applied change, in seconds since 1970; 0 without one.")
	if s.Reloads.Last.IsZero() {
		e.count(0)
	} else {
		e.value(float64(s.Reloads.Last.UnixMilli()) / 1e3)
	}

	if listeners, ends := o.Snapshot.Credentials.Expiries(); len(listeners) > 0 {
		e.family("hearth_certificate_expiry_time_seconds", gauge,
			"Expiry time of the host's certificate of a listener, in seconds since 1970.")
		for i, name := range listeners {
			e.value(float64(ends[i].Unix()), "listener", name)
		}
	}
	e.family("hearth_connections", gauge, "Open connections, by authentication state.")
	e.count(uint64(s.Connections-s.Unauthenticated), "state", "authenticated")
	e.count(uint64(s.Unauthenticated), "state", "unauthenticated")
	e.family("hearth_http_connections", gauge, "Open connections of HTTP clients; part of hearth_connections.")
	e.count(uint64(s.HTTP))
	e.family("hearth_connections_total", counter, "Accepted connections, rejected ones included.")
	e.count(o.Usage.Accepted.Load())
	e.family("hearth_connections_refused_total", counter,
		"Rejected connections: no capacity, too many of the principal, or a peer that is not in the policy.")
	e.count(o.Usage.Rejected.Load(), "reason", "capacity")
	e.count(o.Usage.OverConnections.Load(), "reason", "principal")
	e.count(o.Usage.Unauthenticated.Load(), "reason", "unauthenticated")
	e.family("hearth_connections_closed_total", counter,
		"Idle connections that the host closed to make room for others.")
	e.count(o.Usage.ClosedIdle.Load())
	e.family("hearth_inflight_bytes", gauge,
		"Bytes of messages, replies and calls between objects that the host holds.")
	e.count(uint64(o.Shares.Bytes.Used()))
	e.family("hearth_inflight_limit_bytes", gauge, "Limit of hearth_inflight_bytes.")
	e.count(uint64(o.Shares.Bytes.Limit()))
	e.family("hearth_inflight_refused_total", counter, "Messages and replies rejected because of that limit.")
	e.count(o.Shares.Refused.Load())
	e.family("hearth_streams", gauge, "Open item streams.")
	e.count(uint64(s.Streams))

	e.family("hearth_workers", gauge, "Workers and plugins, by state.")
	states := map[[2]string]uint64{}
	for _, kind := range []string{backend.KindWorker, backend.KindPlugin} {
		for _, state := range backend.States {
			states[[2]string{kind, state}] = 0
		}
	}
	for _, w := range s.Workers {
		states[[2]string{w.Kind, w.State}]++
	}
	byName := func(a, b [2]string) int { return slices.Compare(a[:], b[:]) }
	for _, k := range slices.SortedFunc(maps.Keys(states), byName) {
		e.count(states[k], "kind", k[0], "state", k[1])
	}
}

func one(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

// row is one tenant's usage at the time of the request.
type row struct {
	name  string
	sum   *usage.Totals
	own   *usage.TenantCounters
	spent procstat.Spent
}

// tenantMetrics adds the metrics with a tenant label.
func (o *Source) tenantMetrics(e *exposition) {
	b := o.Usage.Current.Load()
	ids := b.TenantIDs()
	var rows []row
	for _, name := range slices.Sorted(maps.Keys(b.Tenants)) {
		t := b.Tenants[name]
		rows = append(rows, row{string(name), b.Sum(t, ids[name]), t, t.Processes.Spent()})
	}
	each := func(name, kind, help string, sample func(r *row)) {
		e.family(name, kind, help)
		for i := range rows {
			sample(&rows[i])
		}
	}
	each("hearth_calls_total", counter, "Ended calls, by code; ok is no error.", func(r *row) {
		ok := r.sum.Ended
		for _, n := range r.sum.Failed {
			ok -= min(ok, n)
		}
		e.count(ok, "tenant", r.name, "code", object.CodeOK.String())
		for _, c := range callCodes {
			e.count(r.sum.Failed[c], "tenant", r.name, "code", c.String())
		}
	})
	each("hearth_call_duration_seconds", histogram, "Time of calls, from dispatch to reply.",
		func(r *row) { e.times(r.sum, "tenant", r.name) })
	each("hearth_calls_in_flight", gauge, "Running and queued calls.",
		func(r *row) { e.count(r.sum.Begun-r.sum.Ended, "tenant", r.name) })
	each("hearth_argument_bytes_total", counter, "Bytes of arguments, inflated.",
		func(r *row) { e.count(r.sum.BytesIn, "tenant", r.name) })
	each("hearth_result_bytes_total", counter, "Bytes of results.",
		func(r *row) { e.count(r.sum.BytesOut, "tenant", r.name) })
	each("hearth_steps_total", counter, "Steps of scripts.",
		func(r *row) { e.count(r.sum.Steps, "tenant", r.name) })
	each("hearth_denials_total", counter,
		"Calls and metadata requests that the policy rejected; tenant is empty for names that are not served.",
		func(r *row) { e.count(r.own.Denied.Load(), "tenant", r.name) })
	e.count(o.Usage.Unowned.Load(), "tenant", "")
	each("hearth_limited_total", counter, "Calls that a limit block of the policy rejected.",
		func(r *row) { e.count(r.own.Limited.Load(), "tenant", r.name) })
	each("hearth_cpu_seconds_total", counter, "Processor time of workers and plugins.",
		func(r *row) { e.value(r.spent.CPU.Seconds(), "tenant", r.name) })
	each("hearth_memory_bytes", gauge, "Memory of workers and plugins.",
		func(r *row) { e.count(uint64(r.spent.MemoryBytes), "tenant", r.name) })
	each("hearth_memory_peak_bytes", gauge, "Peak memory of a single worker or plugin.",
		func(r *row) { e.count(uint64(r.spent.PeakBytes), "tenant", r.name) })
	each("hearth_store_bytes", gauge, "Size of the files of the durable state.", func(r *row) {
		if o.Usage.StoreBytes != nil {
			e.count(uint64(o.Usage.StoreBytes(object.Tenant(r.name))), "tenant", r.name)
		}
	})
	each("hearth_processes", gauge, "Running workers and plugins.",
		func(r *row) { e.count(uint64(r.spent.Running), "tenant", r.name) })
	each("hearth_process_starts_total", counter, "Starts of workers and plugins.",
		func(r *row) { e.count(r.spent.Starts, "tenant", r.name) })
	each("hearth_process_crashes_total", counter, "Unexpected worker and plugin exits, including failed starts.",
		func(r *row) { e.count(r.spent.Crashes, "tenant", r.name) })
	each("hearth_states_lost_total", counter, "Instances ended early by a limit or for memory, with their state.",
		func(r *row) { e.count(r.spent.StatesLost, "tenant", r.name) })
	each("hearth_instances_unloaded_total", counter, "Idle instances of keyed objects that were unloaded.",
		func(r *row) { e.count(r.spent.Unloaded, "tenant", r.name) })
	each("hearth_log_lines_dropped_total", counter, "Log lines of scripts and plugins dropped by the rate limit.",
		func(r *row) { e.count(r.spent.LogDropped, "tenant", r.name) })
}

// callCodes are the possible codes of a dispatched call, besides CodeOK.
var callCodes = []object.Code{
	object.CodeInvalid, object.CodeTooLarge, object.CodeUnauthenticated, object.CodeDenied,
	object.CodeNotFound, object.CodeExhausted, object.CodeDeadline, object.CodeCanceled,
	object.CodeUnavailable, object.CodeRaised, object.CodeInternal,
}

// auditMetrics adds the metrics of the audit log and of traces.
func (o *Source) auditMetrics(e *exposition) {
	var written, lost uint64
	var stalled time.Duration
	if o.Audit != nil {
		written, lost = o.Audit.Counts()
		stalled = o.Audit.Stalled()
	}
	e.family("hearth_audit_stalled_seconds", gauge,
		"Age of an unfinished write of the audit log; 0 unless the disk hangs.")
	e.count(uint64(stalled / time.Second))
	e.family("hearth_audit_records_total", counter, "Records written to the audit log.")
	e.count(written)
	e.family("hearth_audit_records_lost_total", counter, "Dropped records that could not be written.")
	e.count(lost)
	e.family("hearth_audit_refused_total", counter, "Calls rejected because the audit log could not be written.")
	e.count(o.Usage.Unaudited.Load())
	e.family("hearth_trace_spans_total", counter, "Trace spans, sent to the collector or dropped.")
	sent, dropped := o.Tracer.Counts()
	e.count(sent, "result", "sent")
	e.count(dropped, "result", "dropped")
}

// storeMetrics adds the metrics of the durable state.
func (o *Source) storeMetrics(e *exposition) {
	s := &o.Store
	e.family("hearth_store_commits_total", counter, "Transactions of stores; each has one fsync.")
	e.count(uint64(s.Commits))
	e.family("hearth_store_commit_seconds_total", counter, "Time of these transactions, fsync included.")
	e.value(s.Time.Seconds())
	e.family("hearth_store_batches_total", counter, "Batches of writes in these transactions.")
	e.count(uint64(s.Batches))
	e.family("hearth_store_sync_seconds", histogram, "Time in which a commit was written to the disk, fsync included.")
	e.histogram(&s.Sync)
	e.family("hearth_store_batches_per_commit", histogram, "Batches of writes in a transaction.")
	e.histogram(&s.Group)
	e.family("hearth_store_batches_refused_total", counter, "Batches that were not stored.")
	e.count(uint64(s.Conflicts), "reason", "conflict")
	e.count(uint64(s.Full), "reason", "full")
	e.count(uint64(s.Fenced), "reason", "fenced")
	e.family("hearth_store_failures_total", counter, "Failed operations on the files of stores.")
	e.count(uint64(s.Failures))
	e.family("hearth_store_open_files", gauge, "Open files of stores.")
	e.count(uint64(s.OpenFiles))
}

// processMetrics adds the metrics of the host process, with the names of standard dashboards.
func processMetrics(e *exposition) {
	self := procstat.Self()
	e.family("process_cpu_seconds_total", counter, "Processor time of the host itself.")
	e.value(self.CPU.Seconds())
	if self.MemoryBytes > 0 { // unknown on some systems
		e.family("process_resident_memory_bytes", gauge, "Memory of the host itself.")
		e.count(uint64(self.MemoryBytes))
	}
	e.family("go_goroutines", gauge, "Goroutines of the host.")
	e.count(uint64(runtime.NumGoroutine()))
	heap := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(heap)
	e.family("go_gc_heap_live_bytes", gauge, "Live heap of the host after its last garbage collection.")
	e.count(heap[0].Value.Uint64())
	e.family("go_memory_classes_heap_objects_bytes", gauge,
		"Heap of the host, including garbage that is not collected yet.")
	e.count(heap[1].Value.Uint64())
}
