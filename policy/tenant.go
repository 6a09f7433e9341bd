package policy

import (
	"time"

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
	return t.ObjectLimits[id].WithBase(t.DefaultLimits)
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
