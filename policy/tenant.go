package policy

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/hearthhost/hearth/object"
)

// TenantSettings are what a tenant block says of how a tenant's code runs. The zero value
// is what holds for a tenant of which nothing is said.
type TenantSettings struct {
	// UID is the user id of the tenant's processes, which also is their group's; 0: none of
	// their own.
	UID uint32
	// PerObject gives each object a worker process of its own, where it otherwise is one for
	// the tenant.
	PerObject bool
	// AllowMissing names the walls that may be missing, of package confine.
	AllowMissing []string
	// MemoryBytes, Processes and CPUs bound a worker process by a control group; 0: not
	// bounded so.
	MemoryBytes int64
	Processes   int
	CPUs        float64

	// Idle is after how long a worker that nobody calls, and that remembers nothing, is
	// stopped; 0: a default.
	Idle time.Duration
	// Weight is the tenant's share of the host when others want it too; 0: 1.
	Weight int
	// Gate says that a changed script has to pass its tests before it serves.
	Gate bool

	DefaultLimits object.Limits // of objects of which nothing is said
	ObjectLimits  map[object.ID]object.Limits
}

// Limits returns what one of the tenant's objects may spend, zero where nothing is said.
func (t *TenantSettings) Limits(id object.ID) object.Limits {
	return t.ObjectLimits[id].Over(t.DefaultLimits)
}

// Tenant returns what is said of a tenant.
func (p *Policy) Tenant(name object.Tenant) TenantSettings {
	if t := p.Settings[name]; t != nil {
		return *t
	}
	return TenantSettings{}
}

// Weight returns a tenant's share of the host against those of others, 1 if nothing is said.
func (p *Policy) Weight(name object.Tenant) float64 {
	if t := p.Settings[name]; t != nil && t.Weight > 0 {
		return float64(t.Weight)
	}
	return 1
}

// MessageBytes is how long a call's message may be where it is not known yet which object is
// called: as long as the object that takes the longest has it, and never less than the default.
func (d *Definition) MessageBytes() int { return max(d.MaxArgumentBytes, object.DefaultMessageBytes) }

// layers are the walls that a policy may allow to be missing, by the names that package confine gives
// them.
var layers = []string{"uid", "namespaces", "no-new-privs", "seccomp", "landlock", "rlimits", "cgroup", "dumpable", "parent-death"}

// tenant reads a tenant block.
func (r *reader) tenant(name string, b *hclsyntax.Block) {
	a := r.blockWith(b, []string{"limits", "object", "secret", "plugin"}, "user", "uid", "isolation", "allow_missing", "idle", "gate", "weight")
	switch {
	case object.Tenant(name) == object.HostTenant:
		r.problems.Add(b.LabelRanges[0], "", "tenant %q: ids beginning with it are the host's own", name)
		return
	case !object.ValidName(name):
		r.problems.Add(b.LabelRanges[0], "", "tenant %q: a name has letters, digits, '_' and '-'", name)
		return
	}
	t := &TenantSettings{ObjectLimits: map[object.ID]object.Limits{}}
	r.p.Settings[object.Tenant(name)] = t
	r.p.Tenants = append(r.p.Tenants, object.Tenant(name))
	r.tenantUser(t, name, a, b)
	if s, at, ok := r.text(a, "isolation"); ok {
		if t.PerObject = s == "object"; !t.PerObject && s != "tenant" {
			r.problems.Add(at, `write "tenant" or "object"`, "isolation: %q", s)
		}
	}
	missing, _ := r.texts(a, "allow_missing", "leave it out to require all layers")
	for _, e := range missing {
		if !slices.Contains(layers, e.text) {
			r.problems.Add(e.at, OneOf(e.text, layers), "allow_missing: there is no layer %q", e.text)
		}
		t.AllowMissing = append(t.AllowMissing, e.text)
	}
	if s, at, ok := r.text(a, "idle"); ok {
		d, err := time.ParseDuration(s)
		if err != nil || d < 10*time.Millisecond || d > 24*time.Hour {
			r.problems.Add(at, `write "5m"`, "idle: %q: want a time from 10ms to 24h", s)
		}
		t.Idle = d
	}
	if n, ok := r.whole(a, "weight", 1, 1000, "2 is twice the share of a tenant that says nothing"); ok {
		t.Weight = int(n)
	}
	if s, at, ok := r.text(a, "gate"); ok {
		if s != "tests" {
			r.problems.Add(at, `write gate = "tests", or leave it out`, "gate: %q is no way to check a changed script", s)
		}
		t.Gate = true
	}
	var tenant attributes // of its limits block
	objects := map[object.ID]attributes{}
	for _, inner := range b.Body.Blocks {
		switch inner.Type {
		case "limits":
			if tenant != nil {
				r.problems.Add(inner.TypeRange, "", "tenant %q has limits already", name)
			}
			tenant = r.tenantLimits(t, inner)
		case "object":
			r.object(t, name, inner, objects)
		case "secret":
			r.secret(object.Tenant(name), inner)
		}
	}
	r.plugins(object.Tenant(name), b)
	r.limitsTogether(name, t, tenant, objects)
}

// tenantUser reads as which user a tenant's processes run.
func (r *reader) tenantUser(t *TenantSettings, name string, a attributes, b *hclsyntax.Block) {
	var at hcl.Range
	switch {
	case a["user"] != nil && a["uid"] != nil:
		r.problems.Add(b.TypeRange, "", "tenant %q is one OS user: write one of user and uid", name)
		return
	case a["uid"] != nil:
		at = a["uid"].Expr.Range()
		uid, ok := r.uid(a, "uid")
		if !ok {
			return
		}
		t.UID = uid
	case a["user"] != nil:
		var account string
		var ok bool
		if account, at, ok = r.text(a, "user"); !ok {
			return
		}
		if account == "auto" {
			r.autos = append(r.autos, auto{name, at})
			return
		}
		if t.UID, ok = r.accountUID(account, at); !ok {
			return
		}
	default:
		return
	}
	if t.UID == 0 {
		r.problems.Add(at, "give the tenant an account of its own", "tenant %q would run as root", name)
	}
	if who, ok := r.p.Users[t.UID]; ok {
		r.problems.Add(at, "give the tenant an account of its own", "tenant %q would run as principal %q, and could do what he may", name, who)
	}
	if first, taken := r.tenantUIDs[t.UID]; taken {
		r.problems.Add(at, "give each an account of its own", "uid %d is tenant %q's already", t.UID, first)
	}
	r.tenantUIDs[t.UID] = name
}

// auto is a tenant that wants any user id of its own.
type auto struct {
	tenant string
	at     hcl.Range
}

// autoUIDs gives tenants user ids of the host's range: each one that its name chooses, or
// the next that is free, so that a tenant keeps its own when others come and go, but for
// rare clashes. Tenants that swap ids would meet what is left of each other's processes.
func (r *reader) autoUIDs(a attributes) {
	var first, last uint64
	if s, at, ok := r.text(a, "uids"); ok {
		from, to, dash := strings.Cut(s, "-")
		var errFrom, errTo error
		first, errFrom = strconv.ParseUint(from, 10, 32)
		last, errTo = strconv.ParseUint(to, 10, 32)
		if !dash || errFrom != nil || errTo != nil || first == 0 || last < first || last == 1<<32-1 {
			r.problems.Add(at, `write "200000-265535"`, "uids: %q is no range of user ids", s)
			return
		}
	} else if len(r.autos) > 0 {
		r.problems.Add(r.autos[0].at, `add uids = "200000-265535", a range that no account has`, `user = "auto" takes a user id of the host's range, and there is none`)
		return
	}
	slices.SortFunc(r.autos, func(a, b auto) int { return strings.Compare(a.tenant, b.tenant) })
	size := last - first + 1
	for _, w := range r.autos {
		name := fnv.New64a()
		_, _ = name.Write([]byte(w.tenant))
		start, found := name.Sum64()%size, false
		for i := uint64(0); i < size && !found; i++ {
			uid := uint32(first + (start+i)%size)
			_, principal := r.p.Users[uid]
			_, tenant := r.tenantUIDs[uid]
			if found = !principal && !tenant && uid != r.hostUID; found {
				r.tenantUIDs[uid] = w.tenant
				r.p.Settings[object.Tenant(w.tenant)].UID = uid
			}
		}
		if !found {
			r.problems.Add(w.at, "widen uids", "uids: there is none left for tenant %q", w.tenant)
			return
		}
	}
}

// tenantLimits reads the limits of a tenant's workers, and of its objects where those have
// none of their own, and returns what is written.
func (r *reader) tenantLimits(t *TenantSettings, b *hclsyntax.Block) attributes {
	a := r.block(b, append([]string{"memory", "processes", "cpus", "object_memory"}, objectLimits...)...)
	r.unnamed(b)
	if n, ok := r.bytes(a, "memory", 32<<20, 1<<40); ok {
		t.MemoryBytes = n
	}
	if n, ok := r.count(a, "processes"); ok {
		if t.Processes = n; n < 16 {
			r.problems.Add(a["processes"].Expr.Range(), "", "processes: a worker needs 16 threads at least")
		}
	}
	t.CPUs, _ = r.cpus(a)
	t.DefaultLimits = r.limits(a)
	if n, ok := r.bytes(a, "object_memory", 1<<20, 1<<40); ok {
		t.DefaultLimits.Memory = n
	}
	return a
}

// object reads an object block, and adds its limits, as they are written, to those of others.
func (r *reader) object(t *TenantSettings, tenant string, b *hclsyntax.Block, written map[object.ID]attributes) {
	if len(b.Labels) != 1 {
		r.problems.Add(b.TypeRange, `write object "name" { … }`, "an object has one name, and this one has %d", len(b.Labels))
		return
	}
	id, err := object.ParseID(tenant + "." + b.Labels[0])
	if err != nil {
		r.problems.Add(b.LabelRanges[0], "write the name without the tenant: \"shop.cart\"", "object %q: %v", b.Labels[0], err)
		return
	}
	if _, twice := t.ObjectLimits[id]; twice {
		r.problems.Add(b.LabelRanges[0], "", "there is an object %q of this tenant already", b.Labels[0])
	}
	r.attributes(b.Body, "an object")
	var l object.Limits
	for i, inner := range b.Body.Blocks {
		if inner.Type != "limits" || i > 0 {
			r.problems.Add(inner.TypeRange, "", "an object has one block, limits")
			continue
		}
		r.unnamed(inner)
		a := r.block(inner, append([]string{"memory"}, objectLimits...)...)
		l = r.limits(a)
		if n, ok := r.bytes(a, "memory", 1<<20, 1<<40); ok {
			l.Memory = n
		}
		written[id] = a
	}
	t.ObjectLimits[id] = l
}

// objectLimits are the limits that an object may have, but for its memory.
var objectLimits = []string{"steps", "max_duration", "source", "arguments", "result", "depth", "coroutines", "queue", "parallel", "sessions", "log_lines"}

// maxDuration is the longest that a call may take: callers do not wait longer.
const maxDuration = 30 * time.Second

// limits reads them.
func (r *reader) limits(a attributes) object.Limits {
	var l object.Limits
	l.Steps, _ = r.whole(a, "steps", 1000, 1_000_000_000_000, "50000000 is about a second")
	if s, at, ok := r.text(a, "max_duration"); ok {
		d, err := time.ParseDuration(s)
		if err != nil || d < time.Millisecond || d > maxDuration {
			r.problems.Add(at, `write "2s" or "500ms"`, "max_duration: %q: want a time from 1ms to %s", s, maxDuration)
		}
		l.MaxDuration = d
	}
	for name, to := range map[string]*int{"source": &l.SourceBytes, "arguments": &l.ArgumentBytes, "result": &l.ResultBytes} {
		most := int64(object.MaxMessageBytes)
		if name == "source" {
			most = object.MaxSourceBytes
		}
		if n, ok := r.bytes(a, name, 1, most); ok {
			*to = int(n)
		}
	}
	r.p.MaxArgumentBytes = max(r.p.MaxArgumentBytes, l.ArgumentBytes)
	for name, to := range map[string]*int{"depth": &l.CallDepth, "coroutines": &l.Coroutines, "queue": &l.Queue,
		"parallel": &l.Parallel, "sessions": &l.Sessions, "log_lines": &l.LogLines} {
		*to, _ = r.count(a, name)
	}
	return l
}

// declared complains unless a tenant is.
func (r *reader) declared(t object.Tenant, e element, attribute string) {
	if _, ok := r.p.Settings[t]; ok {
		return
	}
	if t == object.HostTenant {
		r.problems.Add(e.at, "", "%s: %q: the host's own objects are not the policy's business", attribute, e.text)
		return
	}
	var names []string
	for _, name := range r.p.Tenants {
		names = append(names, string(name))
	}
	slices.Sort(names)
	hint := Near(string(t), names)
	if hint == "" {
		hint = fmt.Sprintf("declare it: tenant %q {}", t)
	}
	r.problems.Add(e.at, hint, "%s: %q: there is no tenant %q", attribute, e.text, t)
}
