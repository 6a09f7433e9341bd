package policyfile

import (
	"fmt"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/hearthhost/hearth/internal/bytesize"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/policy/syntax"
)

// stepsPerSecond is about how fast a worker runs scripts on a whole processor.
const stepsPerSecond = 50_000_000

// limitScope is one set of limits of a tenant's objects: those of the tenant's block, or those of an
// object's block, which are laid over them.
type limitScope struct {
	r      *reader
	what   string            // for messages: `tenant "acme"`
	own    syntax.Attributes // of the scope's limits block
	base   syntax.Attributes // of the tenant's limits block, for an object
	worker int64             // the memory of a worker, in bytes
	cpus   float64           // processors of a worker, 1 at most: scripts run on one
	limits object.Limits
}

// written reports whether a limit of the scope is written, and not a default.
func (s *limitScope) written(name string) bool { return s.own[name] != nil || s.base[name] != nil }

// ownPlace returns where the first of the scope's own limits of these names is written. The limits of
// the tenant's block are reported for the tenant, and not again for each object.
func (s *limitScope) ownPlace(names ...string) (hcl.Range, bool) {
	for _, name := range names {
		if a := s.own[name]; a != nil {
			return a.Expr.Range(), true
		}
	}
	return hcl.Range{}, false
}

// check warns of limits that others keep a call or an object from ever reaching. A default bounds one
// object among many and is not compared, except the memory of an instance: a single call can reach it.
func (s *limitScope) check() {
	s.checkInstance()
	s.checkMany("sessions", s.limits.Sessions, "instances")
	s.checkMany("parallel", s.limits.Parallel, "calls at a time")
	s.checkMessage("arguments", int64(s.limits.ArgumentBytes), object.MaxPendingArguments(s.worker))
	s.checkMessage("result", int64(s.limits.ResultBytes), object.MaxPendingResults(s.worker))
	s.checkSteps()
}

// checkInstance compares the memory of one instance with that of its worker.
func (s *limitScope) checkInstance() {
	share := object.MaxInstanceBytes(s.worker)
	at, own := s.ownPlace("object_memory", "memory")
	if !own || s.limits.Memory <= share {
		return
	}
	least := (s.limits.Memory*8/3 + 1<<20 - 1) >> 20
	s.r.def.Warnings.Add(at, fmt.Sprintf(`give the tenant's worker memory = "%dMiB", or its objects less`, least),
		"%s: an instance may hold %s, and all instances of its worker together %s, three eighths of %s", s.what,
		bytesize.Format(s.limits.Memory), roughSize(share), bytesize.Format(s.worker))
}

// checkMany compares the memory of many instances with that of their worker, if their number is written.
func (s *limitScope) checkMany(name string, n int, what string) {
	at, own := s.ownPlace(name, "object_memory", "memory")
	share := object.MaxInstanceBytes(s.worker)
	if !s.written(name) || !own || s.limits.Memory > share || int64(n) <= share/s.limits.Memory {
		return
	}
	const remedy = "lower one of them, or raise memory of the tenant's limits: the instance that holds most is ended first"
	s.r.def.Warnings.Add(at, remedy,
		"%s: %s = %d: %d %s of %s each are more than the %s that all instances of a worker share", s.what,
		name, n, n, what, bytesize.Format(s.limits.Memory), roughSize(share))
}

// checkMessage compares the size of arguments or of a result, if it is written, with the memory of the
// instance that has to hold it, and with the share of the worker's memory for all of its kind.
func (s *limitScope) checkMessage(name string, n, share int64) {
	if !s.written(name) {
		return
	}
	most := s.limits.Memory
	fits := n <= most || most > object.MaxInstanceBytes(s.worker) // which is reported itself
	if at, own := s.ownPlace(name, "object_memory", "memory"); own && !fits {
		s.r.def.Warnings.Add(at, "raise the object's memory, or lower "+name,
			"%s: %s of %s do not fit into an instance, which may hold %s", s.what, name, bytesize.Format(n), bytesize.Format(most))
		return
	}
	if at, own := s.ownPlace(name); own && n > share {
		s.r.def.Warnings.Add(at, "raise memory of the tenant's limits, or lower "+name,
			"%s: %s of %s: all that are under way to or from a worker of %s may take %s", s.what, name, bytesize.Format(n),
			bytesize.Format(s.worker), roughSize(share))
	}
}

// checkSteps compares the time that steps take with max_duration, if steps are written.
func (s *limitScope) checkSteps() {
	at, own := s.ownPlace("steps", "max_duration", "cpus")
	takes := time.Duration(float64(s.limits.Steps) / stepsPerSecond / s.cpus * float64(time.Second))
	if !s.written("steps") || !own || takes <= s.limits.MaxDuration {
		return
	}
	share := ""
	if s.cpus < 1 {
		share = fmt.Sprintf(" with cpus = %v", s.cpus)
	}
	s.r.def.Warnings.Add(at, "lower steps, or raise max_duration",
		"%s: %d steps take about %s%s, and max_duration ends a call after %s", s.what, s.limits.Steps,
		takes.Round(time.Millisecond), share, s.limits.MaxDuration)
}

// checkLimits warns of limits of a tenant that cannot hold together.
func (r *reader) checkLimits(name string, t *policy.TenantSettings, tenant syntax.Attributes, objects map[object.ID]syntax.Attributes) {
	worker, cpus := t.MemoryBytes, t.CPUs
	if worker == 0 {
		worker = object.DefaultWorkerBytes
	}
	if cpus == 0 {
		cpus = 1
	}
	base := limitScope{r: r, what: fmt.Sprintf("tenant %q", name), worker: worker, cpus: min(cpus, 1)}
	all := base
	all.own, all.limits = tenant, t.DefaultLimits.WithDefaults()
	all.check()
	for id, own := range objects {
		one := base
		one.what, one.own, one.base, one.limits = fmt.Sprintf("object %q", id), own, tenant, t.Limits(id).WithDefaults()
		one.check()
	}
	r.workerTogether(name, t, tenant, objects)
}

// workerTogether compares what is written of a tenant's worker with what its objects and plugins may take.
func (r *reader) workerTogether(name string, t *policy.TenantSettings, tenant syntax.Attributes, objects map[object.ID]syntax.Attributes) {
	if a := tenant["cpus"]; a != nil && t.CPUs > 1 && !r.hasPlugin(object.Tenant(name)) {
		r.def.Warnings.Add(a.Expr.Range(), "write cpus = 1; isolation = \"object\" gives each object a worker",
			"tenant %q: cpus = %v, and a worker runs scripts on one processor", name, t.CPUs)
	}
	if t.PerObject {
		return // each object has the memory of a worker
	}
	worker := t.MemoryBytes
	if worker == 0 {
		worker = object.DefaultWorkerBytes
	}
	var sum int64
	counted := 0
	for id, own := range objects {
		if own["memory"] != nil || tenant["object_memory"] != nil {
			sum += t.Limits(id).Memory
			counted++
		}
	}
	if share := object.MaxInstanceBytes(worker); counted > 1 && sum > share {
		at := r.labels[[2]string{"tenant", name}]
		r.def.Warnings.Add(at, `raise memory of the tenant's limits, or write isolation = "object"`,
			"tenant %q: an instance of each of its object blocks may hold %s together, and all instances of its worker %s",
			name, roughSize(sum), roughSize(share))
	}
}

// hasPlugin reports whether a tenant has a plugin.
func (r *reader) hasPlugin(tenant object.Tenant) bool {
	for i := range r.def.Pins {
		if r.def.Pins[i].ID.Tenant() == tenant {
			return true
		}
	}
	return false
}

// roughSize shows a number of bytes in MiB, rounded down, or exactly if it is less than one.
func roughSize(n int64) string {
	if n < 1<<20 {
		return bytesize.Format(n)
	}
	return bytesize.Format(n >> 20 << 20)
}
