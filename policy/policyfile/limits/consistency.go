package limits

import (
	"fmt"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/hearthhost/hearth/internal/bytesize"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy/problem"
	"github.com/hearthhost/hearth/policy/syntax"
)

// stepsPerSecond is the approximate speed of a worker on a whole processor.
const stepsPerSecond = 50_000_000

// limitScope holds the limits of one limits block: the tenant's, or an object's with the tenant's as defaults.
type limitScope struct {
	warnings    *problem.List
	what        string            // for messages: `tenant "acme"`
	attrs       syntax.Attributes // attributes of the scope's limits block
	tenantAttrs syntax.Attributes // attributes of the tenant's limits block, for an object
	worker      int64             // memory of a worker, in bytes
	cpus        float64           // processors of a worker, at most 1: scripts run on one
	limits      object.Limits
}

// isSet reports whether the file sets a limit of the scope.
func (s *limitScope) isSet(name string) bool {
	return s.attrs[name] != nil || s.tenantAttrs[name] != nil
}

// position returns the position of the first of these limits in the scope's own block. Limits of the tenant's block
// are reported for the tenant, and not again for each object.
func (s *limitScope) position(names ...string) (hcl.Range, bool) {
	for _, name := range names {
		if a := s.attrs[name]; a != nil {
			return a.Expr.Range(), true
		}
	}
	return hcl.Range{}, false
}

// check warns of limits that other limits make unreachable. It does not check defaults, which bound one object among
// many, except the memory of an instance: a single call can reach it.
func (s *limitScope) check() {
	s.checkInstance()
	const largestFirst = "the largest instance is stopped first"
	s.checkMany("sessions", s.limits.Sessions, "instances", largestFirst)
	s.checkMany("parallel", s.limits.Parallel, "calls at a time", largestFirst)
	s.checkKeyed()
	s.checkMessage("arguments", int64(s.limits.ArgumentBytes), object.MaxPendingArguments(s.worker))
	s.checkMessage("result", int64(s.limits.ResultBytes), object.MaxPendingResults(s.worker))
	s.checkSteps()
}

// checkInstance compares the memory of one instance with the worker's.
func (s *limitScope) checkInstance() {
	share := object.MaxInstanceBytes(s.worker)
	at, found := s.position("object_memory", "memory")
	if !found || s.limits.Memory <= share {
		return
	}
	least := (s.limits.Memory*8/3 + 1<<20 - 1) >> 20
	s.warnings.Add(at, fmt.Sprintf(`give the tenant's worker memory = "%dMiB", or its objects less`, least),
		"%s: an instance may use %s, but all instances of its worker together %s, three eighths of %s", s.what,
		bytesize.Format(s.limits.Memory), roughSize(share), bytesize.Format(s.worker))
}

// checkKeyed compares the memory of the instances of a keyed object with the worker's, if the file sets their number:
// the memory that the smallest instances take, otherwise the memory that they may use.
func (s *limitScope) checkKeyed() {
	const name = "instances"
	n := int64(s.limits.Instances)
	share := object.MaxInstanceBytes(s.worker)
	if n <= share/object.SmallInstanceBytes {
		s.checkMany(name, s.limits.Instances, "instances", "the instances that have been idle longest end first")
		return
	}
	at, found := s.position(name)
	if !found {
		return
	}
	least := n * object.SmallInstanceBytes
	s.warnings.Add(at, fmt.Sprintf(`lower it, or write memory = "%dMiB" in the tenant's limits: instances end before `+
		`there are as many`, (least*8/3+1<<20-1)>>20),
		"%s: %s = %d: even with little state %d instances take %s, but all instances of its worker together have %s, "+
			"three eighths of %s", s.what, name, n, n, roughSize(least), roughSize(share), bytesize.Format(s.worker))
}

// checkMany compares the memory of n instances with the worker's, if the file sets n. first names the instances that
// end first.
func (s *limitScope) checkMany(name string, n int, what, first string) {
	at, found := s.position(name, "object_memory", "memory")
	share := object.MaxInstanceBytes(s.worker)
	if !s.isSet(name) || !found || s.limits.Memory > share || int64(n) <= share/s.limits.Memory {
		return
	}
	s.warnings.Add(at, "lower one of them, or raise memory of the tenant's limits: "+first,
		"%s: %s = %d: %d %s of %s each exceed the %s that all instances of a worker share", s.what,
		name, n, n, what, bytesize.Format(s.limits.Memory), roughSize(share))
}

// checkMessage compares the size of arguments or results, if the file sets it, with the memory of an instance and
// with the worker's budget for all arguments or results.
func (s *limitScope) checkMessage(name string, n, share int64) {
	if !s.isSet(name) {
		return
	}
	most := s.limits.Memory
	fits := n <= most || most > object.MaxInstanceBytes(s.worker) // checkInstance reports that
	if at, found := s.position(name, "object_memory", "memory"); found && !fits {
		s.warnings.Add(at, "raise the object's memory, or lower "+name,
			"%s: %s of %s exceed the memory of an instance, %s",
			s.what, name, bytesize.Format(n), bytesize.Format(most))
		return
	}
	if at, found := s.position(name); found && n > share {
		s.warnings.Add(at, "raise memory of the tenant's limits, or lower "+name,
			"%s: %s of %s: all of a worker of %s together have %s", s.what, name, bytesize.Format(n),
			bytesize.Format(s.worker), roughSize(share))
	}
}

// checkSteps compares the duration of steps with max_duration, if the file sets steps.
func (s *limitScope) checkSteps() {
	at, found := s.position("steps", "max_duration", "cpus")
	takes := time.Duration(float64(s.limits.Steps) / stepsPerSecond / s.cpus * float64(time.Second))
	if !s.isSet("steps") || !found || takes <= s.limits.MaxDuration {
		return
	}
	share := ""
	if s.cpus < 1 {
		share = fmt.Sprintf(" with cpus = %v", s.cpus)
	}
	s.warnings.Add(at, "lower steps, or raise max_duration",
		"%s: %d steps take about %s%s, but max_duration ends a call after %s", s.what, s.limits.Steps,
		takes.Round(time.Millisecond), share, s.limits.MaxDuration)
}

// Check warns of limits that are not consistent. at is the position of the tenant's name. Call it after
// all blocks of the tenant are read.
func (t *Tenant) Check(at hcl.Range, hasPlugin bool) {
	cpus := t.settings.CPUs
	if cpus == 0 {
		cpus = 1
	}
	base := limitScope{
		warnings: t.warnings,
		what:     fmt.Sprintf("tenant %q", t.name),
		worker:   t.workerBytes(),
		cpus:     min(cpus, 1),
	}
	all := base
	all.attrs, all.limits = t.attrs, t.settings.DefaultLimits.WithDefaults()
	all.check()
	for id, attrs := range t.objects {
		one := base
		one.what = fmt.Sprintf("object %q", id)
		one.attrs = attrs
		one.tenantAttrs = t.attrs
		one.limits = t.settings.Limits(id).WithDefaults()
		one.check()
	}
	if a := t.attrs["cpus"]; a != nil && t.settings.CPUs > 1 && !hasPlugin {
		t.warnings.Add(a.Expr.Range(), "write cpus = 1; isolation = \"object\" gives each object a worker",
			"tenant %q: cpus = %v, but a worker runs scripts on one processor", t.name, t.settings.CPUs)
	}
	if !t.settings.PerObject { // otherwise each object has a worker
		t.checkSum(at)
	}
}

// workerBytes returns the memory of a worker of the tenant.
func (t *Tenant) workerBytes() int64 {
	if n := t.settings.MemoryBytes; n != 0 {
		return n
	}
	return object.DefaultWorkerBytes
}

// checkSum compares the memory of a worker with one instance of each of its objects.
func (t *Tenant) checkSum(at hcl.Range) {
	var sum int64
	counted := 0
	for id, attrs := range t.objects {
		if attrs["memory"] != nil || t.attrs["object_memory"] != nil {
			sum += t.settings.Limits(id).Memory
			counted++
		}
	}
	if share := object.MaxInstanceBytes(t.workerBytes()); counted > 1 && sum > share {
		t.warnings.Add(at, `raise memory of the tenant's limits, or write isolation = "object"`,
			"tenant %q: one instance of each object block may use %s together, but all instances of its worker %s",
			t.name, roughSize(sum), roughSize(share))
	}
}

// roughSize formats a number of bytes in MiB, rounded down, or exactly if it is below 1 MiB.
func roughSize(n int64) string {
	if n < 1<<20 {
		return bytesize.Format(n)
	}
	return bytesize.Format(n >> 20 << 20)
}
