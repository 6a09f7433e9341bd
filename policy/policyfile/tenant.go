package policyfile

import (
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/policy/policyfile/limits"
	"github.com/hearthhost/hearth/policy/problem"
	"github.com/hearthhost/hearth/policy/syntax"
)

// layers are the isolation layers that a policy may allow to be missing, by their names in package confine.
var layers = []string{"uid", "namespaces", "no-new-privs", "seccomp", "landlock", "rlimits", "cgroup", "dumpable",
	"parent-death"}

// tenant reads a tenant block.
func (r *reader) tenant(name string, b *hclsyntax.Block) {
	a := r.BlockWith(b, []string{"limits", "object", "secret", "plugin", "egress"}, "user", "uid", "isolation",
		"allow_missing",
		"idle", "gate", "weight")
	switch {
	case object.Tenant(name) == object.HostTenant:
		r.Problems.Add(b.LabelRanges[0], "", "tenant %q is reserved for the host's own objects", name)
		return
	case !object.ValidName(name):
		r.Problems.Add(b.LabelRanges[0], "", "tenant %q: a name must consist of letters, digits, '_' and '-'", name)
		return
	}
	t := &policy.TenantSettings{ObjectLimits: map[object.ID]object.Limits{}}
	r.def.Settings[object.Tenant(name)] = t
	r.def.Tenants = append(r.def.Tenants, object.Tenant(name))
	r.tenantUser(t, name, a, b)
	if s, at, ok := r.Text(a, "isolation"); ok {
		if t.PerObject = s == "object"; !t.PerObject && s != "tenant" {
			r.Problems.Add(at, `write "tenant" or "object"`, "isolation: %q is not valid", s)
		}
	}
	missing, _ := r.Texts(a, "allow_missing", "omit it to require all layers")
	for _, e := range missing {
		if !slices.Contains(layers, e.Text) {
			r.Problems.Add(e.At, problem.OneOf(e.Text, layers), "allow_missing: unknown layer %q", e.Text)
		}
		t.AllowMissing = append(t.AllowMissing, e.Text)
	}
	if s, at, ok := r.Text(a, "idle"); ok {
		d, err := time.ParseDuration(s)
		if err != nil || d < 10*time.Millisecond || d > 24*time.Hour {
			r.Problems.Add(at, `write "5m"`, "idle: %q: must be a duration from 10ms to 24h", s)
		}
		t.Idle = d
	}
	if n, ok := r.Whole(a, "weight", 1, 1000, "2 is twice the default share"); ok {
		t.Weight = int(n)
	}
	if s, at, ok := r.Text(a, "gate"); ok {
		if s != "tests" {
			r.Problems.Add(at, `write gate = "tests", or leave it out`,
				"gate: %q is no way to check a changed script", s)
		}
		t.Gate = true
	}
	all := limits.New(&r.Reader, &r.def.Warnings, name, t)
	for _, inner := range b.Body.Blocks {
		switch inner.Type {
		case "limits":
			all.Read(inner)
		case "object":
			r.object(t, name, inner, all)
		case "secret":
			r.secret(object.Tenant(name), inner)
		}
	}
	plugins := r.plugins.Read(object.Tenant(name), b, t.MemoryBytes)
	r.def.Pins = append(r.def.Pins, plugins...)
	r.def.Egress = append(r.def.Egress, r.egress.Read(object.Tenant(name), b)...)
	all.Check(b.LabelRanges[0], len(plugins) > 0)
	r.def.MaxArgumentBytes = max(r.def.MaxArgumentBytes, t.DefaultLimits.ArgumentBytes)
	for _, l := range t.ObjectLimits {
		r.def.MaxArgumentBytes = max(r.def.MaxArgumentBytes, l.ArgumentBytes)
	}
}

// tenantUser reads the OS user of a tenant's processes.
func (r *reader) tenantUser(t *policy.TenantSettings, name string, a syntax.Attributes, b *hclsyntax.Block) {
	var at hcl.Range
	switch {
	case a["user"] != nil && a["uid"] != nil:
		r.Problems.Add(b.TypeRange, "", "tenant %q must have only one of user and uid", name)
		return
	case a["uid"] != nil:
		at = a["uid"].Expr.Range()
		uid, ok := r.UID(a, "uid")
		if !ok {
			return
		}
		t.UID = uid
	case a["user"] != nil:
		var account string
		var ok bool
		if account, at, ok = r.Text(a, "user"); !ok {
			return
		}
		if account == "auto" {
			r.autos = append(r.autos, autoUser{name, at})
			return
		}
		if t.UID, ok = r.accountUID(account, at); !ok {
			return
		}
	default:
		return
	}
	if t.UID == 0 {
		r.Problems.Add(at, "create an account for the tenant", "tenant %q would run as root", name)
	}
	if who, ok := r.def.Users[t.UID]; ok {
		r.Problems.Add(at, "create an account for the tenant",
			"tenant %q would run as principal %q and have its permits", name, who)
	}
	if first, exists := r.tenantUIDs[t.UID]; exists {
		r.Problems.Add(at, "create one account for each tenant", "uid %d already belongs to tenant %q", t.UID, first)
	}
	r.tenantUIDs[t.UID] = name
}

// autoUser is a tenant with user = "auto".
type autoUser struct {
	tenant string
	at     hcl.Range
}

// autoUIDs assigns tenants user ids of the host's range. A hash of the name chooses the first candidate, so that a
// tenant keeps its id when other tenants come and go, except for rare collisions. Tenants that exchange ids could
// access leftovers of each other's processes.
func (r *reader) autoUIDs(a syntax.Attributes) {
	var first, last uint64
	if s, at, ok := r.Text(a, "uids"); ok {
		from, to, dash := strings.Cut(s, "-")
		var errFrom, errTo error
		first, errFrom = strconv.ParseUint(from, 10, 32)
		last, errTo = strconv.ParseUint(to, 10, 32)
		if !dash || errFrom != nil || errTo != nil || first == 0 || last < first || last == 1<<32-1 {
			r.Problems.Add(at, `write "200000-265535"`, "uids: %q is not a range of user ids", s)
			return
		}
	} else if len(r.autos) > 0 {
		r.Problems.Add(r.autos[0].at, `add uids = "200000-265535", a range without accounts`,
			`user = "auto" needs a range of user ids`)
		return
	}
	slices.SortFunc(r.autos, func(a, b autoUser) int { return strings.Compare(a.tenant, b.tenant) })
	size := last - first + 1
	for _, w := range r.autos {
		name := fnv.New64a()
		_, _ = name.Write([]byte(w.tenant))
		start, found := name.Sum64()%size, false
		for i := uint64(0); i < size && !found; i++ {
			uid := uint32(first + (start+i)%size)
			_, principal := r.def.Users[uid]
			_, tenant := r.tenantUIDs[uid]
			if found = !principal && !tenant && uid != r.hostUID; found {
				r.tenantUIDs[uid] = w.tenant
				r.def.Settings[object.Tenant(w.tenant)].UID = uid
			}
		}
		if !found {
			r.Problems.Add(w.at, "widen uids", "uids: no user id is left for tenant %q", w.tenant)
			return
		}
	}
}

// object reads an object block. The limits of its id are in all.
func (r *reader) object(t *policy.TenantSettings, tenant string, b *hclsyntax.Block, all *limits.Tenant) {
	if len(b.Labels) != 1 {
		r.Problems.Add(b.TypeRange, `write object "name" { … }`, "an object must have one name, not %d",
			len(b.Labels))
		return
	}
	id, err := object.ParseID(tenant + "." + b.Labels[0])
	if err != nil {
		r.Problems.Add(b.LabelRanges[0], "write the name without the tenant: \"shop.cart\"", "object %q: %v",
			b.Labels[0], err)
		return
	}
	if _, twice := t.ObjectLimits[id]; twice {
		r.Problems.Add(b.LabelRanges[0], "", "object %q of this tenant is already declared", b.Labels[0])
	}
	r.Attributes(b.Body, "an object")
	t.ObjectLimits[id] = object.Limits{}
	for i, inner := range b.Body.Blocks {
		if inner.Type != "limits" || i > 0 {
			r.Problems.Add(inner.TypeRange, "", "an object may only have one block, limits")
			continue
		}
		all.ReadObject(id, inner)
	}
}
