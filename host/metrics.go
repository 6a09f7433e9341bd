package host

import (
	"maps"
	"net/http"
	"runtime"
	"runtime/metrics"
	"slices"
	"sync"
	"time"

	"github.com/hearthhost/hearth/host/usage"
	"github.com/hearthhost/hearth/internal/procstat"
	"github.com/hearthhost/hearth/object"
)

// showMetrics answers with all metrics. doc/metrics.md lists them. No label has more values
// than there are tenants, codes or states, whatever callers do.
func (h *Host) showMetrics(w http.ResponseWriter, _ *http.Request) { writeMetrics(w, h.metrics()) }

func writeMetrics(w http.ResponseWriter, text []byte) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	_, _ = w.Write(text)
}

// publicEvery is how old the metrics may be that every user of this machine gets. They take the host's time and memory
// in proportion to its objects, so they are made once for all who ask in that time.
const publicEvery = time.Second

// publicMetrics is the metrics as they were made last for the loopback listener. The zero value is empty.
type publicMetrics struct {
	mu   sync.Mutex // guards what follows
	made time.Time
	text []byte // never changed
}

// current returns the metrics at a time, made by make if those that were made last are too old.
func (p *publicMetrics) current(now time.Time, make func() []byte) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	if age := now.Sub(p.made); p.text == nil || age < 0 || age >= publicEvery {
		p.text, p.made = make(), now
	}
	return p.text
}

func (h *Host) metrics() []byte {
	var e exposition
	h.hostMetrics(&e)
	h.tenantMetrics(&e)
	h.auditMetrics(&e)
	processMetrics(&e)
	return e.b
}

// hostMetrics are about the host as a whole.
func (h *Host) hostMetrics(e *exposition) {
	s := h.Status()
	e.family("hearth_build_info", gauge, "Always 1; the labels say which build this is.")
	e.count(1, "version", s.Version, "go", runtime.Version())
	e.family("hearth_start_time_seconds", gauge, "When the host started, in seconds since 1970.")
	e.value(float64(s.Since.UnixMilli()) / 1e3)
	e.family("hearth_draining", gauge, "1 while the host finishes what it is at, to stop.")
	e.count(one(s.Draining))
	e.family("hearth_tenants", gauge, "Tenants that are served.")
	e.count(uint64(s.Tenants))
	e.family("hearth_objects", gauge, "Objects that are served.")
	e.count(uint64(s.Objects))
	e.family("hearth_refusals", gauge, "Files that are not served as they are, and other files of the host that are not as they should be.")
	refused := 0
	for _, r := range s.Refusals {
		if !r.Note {
			refused++
		}
	}
	e.count(uint64(refused))
	e.family("hearth_policy_refused", gauge, "1 if the policy file holds a policy that does not load, and an older one is in force.")
	e.count(one(s.Reloads.PolicyRefused))

	e.family("hearth_reloads_total", counter, "Changes of objects, plugins and policy, by what became of them.")
	e.count(s.Reloads.Applied, "result", "applied")
	e.count(s.Reloads.Refused, "result", "refused")
	e.family("hearth_reload_time_seconds", gauge, "When the last change was taken, in seconds since 1970; 0 if none was.")
	if s.Reloads.Last.IsZero() {
		e.count(0)
	} else {
		e.value(float64(s.Reloads.Last.UnixMilli()) / 1e3)
	}

	if listeners, ends := h.snap.Load().Credentials.Expiries(); len(listeners) > 0 {
		e.family("hearth_certificate_expiry_time_seconds", gauge, "When the host's certificate of a listener ends, in seconds since 1970.")
		for i, name := range listeners {
			e.value(float64(ends[i].Unix()), "listener", name)
		}
	}
	e.family("hearth_connections", gauge, "Open connections, by whether they have said who they are.")
	e.count(uint64(s.Connections-s.Unauthenticated), "state", "authenticated")
	e.count(uint64(s.Unauthenticated), "state", "unauthenticated")
	e.family("hearth_connections_total", counter, "Connections that came.")
	e.count(h.dispatch.Sessions())
	e.family("hearth_connections_refused_total", counter, "Connections that were not served: no room, too many of their principal, or a peer that the policy does not know.")
	e.count(h.ledger.Rejected.Load(), "reason", "capacity")
	e.count(h.ledger.OverConnections.Load(), "reason", "principal")
	e.count(h.ledger.Unauthenticated.Load(), "reason", "unauthenticated")
	e.family("hearth_connections_closed_total", counter, "Connections that waited and were closed to make room for others.")
	e.count(h.ledger.ClosedIdle.Load())
	e.family("hearth_inflight_bytes", gauge, "Bytes of messages, answers and calls between objects that the host holds.")
	e.count(uint64(h.shares.Bytes.Used()))
	e.family("hearth_inflight_limit_bytes", gauge, "The most that these may be.")
	e.count(uint64(h.shares.Bytes.Limit()))
	e.family("hearth_inflight_refused_total", counter, "Messages and answers for which there was no room.")
	e.count(h.shares.Refused.Load())
	e.family("hearth_streams", gauge, "Open item streams.")
	e.count(uint64(s.Streams))

	e.family("hearth_workers", gauge, "Workers and plugins, by state.")
	states := map[[2]string]uint64{}
	for _, kind := range []string{KindWorker, KindPlugin} {
		for _, state := range workerStateNames {
			states[[2]string{kind, state}] = 0
		}
	}
	for _, w := range s.Workers {
		states[[2]string{w.Kind, w.State}]++
	}
	for _, k := range slices.SortedFunc(maps.Keys(states), func(a, b [2]string) int { return slices.Compare(a[:], b[:]) }) {
		e.count(states[k], "kind", k[0], "state", k[1])
	}
}

func one(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

// row is one tenant at the moment of asking.
type row struct {
	name  string
	sum   *usage.Totals
	own   *usage.TenantCounters
	spent procstat.Spent
}

// tenantMetrics are those with a label tenant.
func (h *Host) tenantMetrics(e *exposition) {
	b := h.ledger.Current.Load()
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
	each("hearth_calls_total", counter, "Calls that have ended, by code; ok are those without an error.", func(r *row) {
		ok := r.sum.Ended
		for _, n := range r.sum.Failed {
			ok -= min(ok, n)
		}
		e.count(ok, "tenant", r.name, "code", object.CodeOK.String())
		for _, c := range callCodes {
			e.count(r.sum.Failed[c], "tenant", r.name, "code", c.String())
		}
	})
	each("hearth_call_duration_seconds", histogram, "Time of calls, from when the host passed them on to their answers.", func(r *row) { e.times(r.sum, "tenant", r.name) })
	each("hearth_calls_in_flight", gauge, "Calls under way, those that wait in a queue included.", func(r *row) { e.count(r.sum.Begun-r.sum.Ended, "tenant", r.name) })
	each("hearth_argument_bytes_total", counter, "Bytes of arguments, inflated.", func(r *row) { e.count(r.sum.BytesIn, "tenant", r.name) })
	each("hearth_result_bytes_total", counter, "Bytes of results.", func(r *row) { e.count(r.sum.BytesOut, "tenant", r.name) })
	each("hearth_steps_total", counter, "Steps of scripts.", func(r *row) { e.count(r.sum.Steps, "tenant", r.name) })
	each("hearth_denials_total", counter, "Calls, and questions what an object is, that the policy refused; tenant is empty where nothing is served.",
		func(r *row) { e.count(r.own.Denied.Load(), "tenant", r.name) })
	e.count(h.ledger.Unowned.Load(), "tenant", "")
	each("hearth_limited_total", counter, "Calls that a limit block of the policy refused.", func(r *row) { e.count(r.own.Limited.Load(), "tenant", r.name) })
	each("hearth_cpu_seconds_total", counter, "Processor time of workers and plugins.", func(r *row) { e.value(r.spent.CPU.Seconds(), "tenant", r.name) })
	each("hearth_memory_bytes", gauge, "Memory of workers and plugins.", func(r *row) { e.count(uint64(r.spent.MemoryBytes), "tenant", r.name) })
	each("hearth_memory_peak_bytes", gauge, "The most that one worker or plugin has held.", func(r *row) { e.count(uint64(r.spent.PeakBytes), "tenant", r.name) })
	each("hearth_processes", gauge, "Workers and plugins that run.", func(r *row) { e.count(uint64(r.spent.Running), "tenant", r.name) })
	each("hearth_process_starts_total", counter, "Starts of workers and plugins.", func(r *row) { e.count(r.spent.Starts, "tenant", r.name) })
	each("hearth_process_crashes_total", counter, "Ends of workers and plugins that nobody wanted, and failed starts.", func(r *row) { e.count(r.spent.Crashes, "tenant", r.name) })
	each("hearth_states_lost_total", counter, "Instances that ended before their time, by a limit or for memory, with what they held.", func(r *row) { e.count(r.spent.StatesLost, "tenant", r.name) })
	each("hearth_log_lines_dropped_total", counter, "Lines of scripts and plugins that were logged too fast and left out.", func(r *row) { e.count(r.spent.LogDropped, "tenant", r.name) })
}

// callCodes are the codes with which a call that was passed on can end.
var callCodes = []object.Code{object.CodeInvalid, object.CodeTooLarge, object.CodeUnauthenticated, object.CodeDenied, object.CodeNotFound,
	object.CodeExhausted, object.CodeDeadline, object.CodeCanceled, object.CodeUnavailable, object.CodeRaised, object.CodeInternal}

// auditMetrics are about the log of decisions, and about traces.
func (h *Host) auditMetrics(e *exposition) {
	var written, lost uint64
	var stalled time.Duration
	if h.audit != nil {
		written, lost = h.audit.Counts()
		stalled = h.audit.Stalled()
	}
	e.family("hearth_audit_stalled_seconds", gauge, "How long a write of the audit log has not finished; 0 unless the disk hangs.")
	e.count(uint64(stalled / time.Second))
	e.family("hearth_audit_records_total", counter, "Records written to the audit log.")
	e.count(written)
	e.family("hearth_audit_records_lost_total", counter, "Records that could not be written and were left out.")
	e.count(lost)
	e.family("hearth_audit_refused_total", counter, "Calls that were refused because the audit log could not be written.")
	e.count(h.ledger.Unaudited.Load())
	e.family("hearth_trace_spans_total", counter, "Spans, by whether the collector has taken them.")
	sent, dropped := h.tracer.Counts()
	e.count(sent, "result", "sent")
	e.count(dropped, "result", "dropped")
}

// processMetrics are about the host's own process, by the names that dashboards know.
func processMetrics(e *exposition) {
	self := procstat.Self()
	e.family("process_cpu_seconds_total", counter, "Processor time of the host itself.")
	e.value(self.CPU.Seconds())
	if self.MemoryBytes > 0 { // not every system tells
		e.family("process_resident_memory_bytes", gauge, "Memory of the host itself.")
		e.count(uint64(self.MemoryBytes))
	}
	e.family("go_goroutines", gauge, "Goroutines of the host.")
	e.count(uint64(runtime.NumGoroutine()))
	heap := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(heap)
	e.family("go_gc_heap_live_bytes", gauge, "What the host's last garbage collection found in use.")
	e.count(heap[0].Value.Uint64())
	e.family("go_memory_classes_heap_objects_bytes", gauge, "What is on the host's heap, garbage that was not collected yet included.")
	e.count(heap[1].Value.Uint64())
}
