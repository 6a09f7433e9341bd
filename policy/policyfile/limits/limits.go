// Package limits reads the limits blocks of a tenant and of its objects. It warns of limits that contradict each other.
//
// [New] returns the reader of one tenant. Read and ReadObject store the limits of a block in the tenant's settings.
// Check runs after all blocks of the tenant are read. It compares the memory of instances, arguments and results with
// the memory of a worker, and the duration of steps with max_duration. Its findings are warnings: such a policy is
// valid, but one limit makes another unreachable.
//
// The package does not enforce limits, and does not read the limit blocks of principals.
package limits

import (
	"time"

	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/policy/problem"
	"github.com/hearthhost/hearth/policy/syntax"
)

// Tenant reads the limits blocks of one tenant and of its objects, and warns of limits that are not consistent.
type Tenant struct {
	r        *syntax.Reader
	warnings *problem.List
	name     string                 // of the tenant
	settings *policy.TenantSettings // of the tenant; the limits are stored in it

	attrs   syntax.Attributes               // attributes of the tenant's block; nil before Read
	objects map[object.ID]syntax.Attributes // attributes of the objects' blocks
}

// New returns a reader of the limits of a tenant. It stores them in settings.
func New(r *syntax.Reader, warnings *problem.List, tenant string, settings *policy.TenantSettings) *Tenant {
	return &Tenant{
		r:        r,
		warnings: warnings,
		name:     tenant,
		settings: settings,
		objects:  map[object.ID]syntax.Attributes{},
	}
}

// Read reads the limits block of the tenant: the limits of its workers, and the defaults of its objects.
func (t *Tenant) Read(b *hclsyntax.Block) {
	r := t.r
	if t.attrs != nil {
		r.Problems.Add(b.TypeRange, "", "tenant %q already has limits", t.name)
	}
	a := r.Block(b, append([]string{"memory", "processes", "cpus", "object_memory", "store", "object_store"},
		objectLimits...)...)
	r.Unnamed(b)
	if n, ok := r.Bytes(a, "memory", 32<<20, 1<<40); ok {
		t.settings.MemoryBytes = n
	}
	if n, ok := r.Count(a, "processes"); ok {
		if t.settings.Processes = n; n < 16 {
			r.Problems.Add(a["processes"].Expr.Range(), "", "processes: a worker needs at least 16 threads")
		}
	}
	t.settings.CPUs, _ = r.CPUs(a)
	t.settings.DefaultLimits = t.limits(a)
	if n, ok := r.Bytes(a, "object_memory", 1<<20, 1<<40); ok {
		t.settings.DefaultLimits.Memory = n
	}
	t.settings.StoreBytes, _ = r.Bytes(a, "store", minStore, 1<<40)
	t.settings.DefaultLimits.StoreBytes, _ = r.Bytes(a, "object_store", minStore, 1<<40)
	t.attrs = a
}

// minStore is the least bound of durable state, in bytes.
const minStore = 1 << 10

// ReadObject reads the limits block of an object.
func (t *Tenant) ReadObject(id object.ID, b *hclsyntax.Block) {
	t.r.Unnamed(b)
	a := t.r.Block(b, append([]string{"memory", "store"}, objectLimits...)...)
	l := t.limits(a)
	l.StoreBytes, _ = t.r.Bytes(a, "store", minStore, 1<<40)
	if n, ok := t.r.Bytes(a, "memory", 1<<20, 1<<40); ok {
		l.Memory = n
	}
	t.settings.ObjectLimits[id] = l
	t.objects[id] = a
}

// objectLimits are the limits of an object, except its memory.
var objectLimits = []string{"steps", "max_duration", "source", "arguments", "result", "depth", "coroutines", "queue",
	"parallel", "sessions", "instances", "instance_idle", "log_lines", "store_value"}

// maxDuration is the longest duration of a call. Callers do not wait longer.
const maxDuration = 30 * time.Second

// maxInstanceIdle is the longest time without calls that an instance of a keyed object may exist.
const maxInstanceIdle = 24 * time.Hour

// limits reads the limits of objects.
func (t *Tenant) limits(a syntax.Attributes) object.Limits {
	r := t.r
	var l object.Limits
	l.Steps, _ = r.Whole(a, "steps", 1000, 1_000_000_000_000, "50000000 take about a second")
	l.MaxDuration, _ = r.Duration(a, "max_duration", time.Millisecond, maxDuration, `write "2s" or "500ms"`)
	l.InstanceIdle, _ = r.Duration(a, "instance_idle", time.Second, maxInstanceIdle, `write "60s" or "10m"`)
	for name, to := range map[string]*int{"source": &l.SourceBytes, "arguments": &l.ArgumentBytes,
		"result": &l.ResultBytes, "store_value": &l.StoreValue} {
		most := int64(object.MaxMessageBytes)
		switch name {
		case "source":
			most = object.MaxSourceBytes
		case "store_value":
			most = object.MaxStoreValue
		}
		if n, ok := r.Bytes(a, name, 1, most); ok {
			*to = int(n)
		}
	}
	for name, to := range map[string]*int{"depth": &l.CallDepth, "coroutines": &l.Coroutines, "queue": &l.Queue,
		"parallel": &l.Parallel, "sessions": &l.Sessions,
		"instances": &l.Instances, "log_lines": &l.LogLines} {
		*to, _ = r.Count(a, name)
	}
	return l
}
