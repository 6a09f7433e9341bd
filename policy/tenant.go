package policy

import (
	"time"

	"github.com/hearthhost/hearth/object"
)

// TenantSettings are the settings of a tenant block. The zero value is that of an empty block.
type TenantSettings struct {
	UID          uint32   // user id and group id of the tenant's processes; 0: the host's own
	PerObject    bool     // one worker process per object instead of one per tenant
	AllowMissing []string // isolation layers that may be missing, by their names in package confine

	// Bounds of a worker process, enforced by a control group; 0: not bounded.
	MemoryBytes int64
	Processes   int
	CPUs        float64

	Idle       time.Duration // a worker without calls and without state stops after this time; 0: a default
	Weight     int           // share of the host while other tenants wait; 0: 1
	StoreBytes int64         // bound of the durable state of all objects; 0: a default

	Gate bool // a changed script must pass its tests before it serves

	DefaultLimits object.Limits               // limits of objects without their own
	ObjectLimits  map[object.ID]object.Limits // limits of objects with their own
}

// Limits returns the limits of one of the tenant's objects; zero fields are not set.
func (t *TenantSettings) Limits(id object.ID) object.Limits {
	return t.ObjectLimits[id].WithBase(t.DefaultLimits)
}

// Tenant returns the settings of a tenant.
func (p *Policy) Tenant(name object.Tenant) TenantSettings {
	if t := p.Settings[name]; t != nil {
		return *t
	}
	return TenantSettings{}
}

// Weight returns a tenant's share of the host relative to other tenants; 1 if it is not set.
func (p *Policy) Weight(name object.Tenant) float64 {
	if t := p.Settings[name]; t != nil && t.Weight > 0 {
		return float64(t.Weight)
	}
	return 1
}

// MessageBytes returns the largest message in bytes that the host accepts before the called object is determined: the
// largest limit of any object, and at least the default.
func (d *Definition) MessageBytes() int { return max(d.MaxArgumentBytes, object.DefaultMessageBytes) }
