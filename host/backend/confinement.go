package backend

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"

	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/sandbox/confine"
	"github.com/hearthhost/hearth/sandbox/confine/layer"
)

// Confinement returns the operating system's confinement of a tenant's workers.
func Confinement(t *policy.TenantSettings) confine.Spec {
	return confine.Spec{
		UID:          t.UID,
		GID:          t.UID,
		MemoryBytes:  t.MemoryBytes,
		Pids:         t.Processes,
		CPUs:         t.CPUs,
		AllowMissing: t.AllowMissing,
	}
}

// CheckPolicy rejects settings that no confinement can apply and blocks without an effect, before any process starts.
func CheckPolicy(p *policy.Policy) error {
	var errs []error
	for _, name := range p.Tenants {
		t := p.Tenant(name)
		spec := Confinement(&t)
		if err := spec.Validate(); err != nil {
			errs = append(errs, fmt.Errorf("tenant %q: %w", name, err))
		}
	}
	if len(p.Egress) > 0 {
		errs = append(errs,
			fmt.Errorf("%s: this version checks egress blocks and does not send requests; remove the block",
				policy.EgressReason(p.Egress[0])))
	}
	return errors.Join(append(errs, checkPlugins(p)...)...)
}

// CheckUsers rejects tenants with a uid that this process cannot switch to.
func CheckUsers(p *policy.Policy) error {
	if os.Geteuid() == 0 || runtime.GOOS != "linux" {
		return nil
	}
	var errs []error
	for _, name := range p.Tenants {
		if t := p.Tenant(name); t.UID != 0 && !slices.Contains(t.AllowMissing, layer.UID) {
			errs = append(errs, fmt.Errorf(`tenant %q has uid %d: only a host that runs as root can switch to it; `+
				`run the host as root, or write allow_missing = ["uid"]`, name, t.UID))
		}
	}
	return errors.Join(errs...)
}

// PluginConfinement returns the operating system's confinement of a plugin. It is that of
// the tenant's workers, with the exceptions of the plugin's block.
func PluginConfinement(t *policy.TenantSettings, pin *policy.Plugin) confine.Program {
	return confine.Program{
		Spec:     Confinement(t),
		Runtime:  pin.Runtime,
		Files:    pin.Files,
		TmpBytes: pin.TmpBytes,
		Fork:     pin.Fork,
	}
}

// checkPlugins rejects plugin blocks that no confinement can apply.
func checkPlugins(p *policy.Policy) []error {
	var errs []error
	for i := range p.Pins {
		pin := &p.Pins[i]
		settings := p.Tenant(pin.ID.Tenant())
		program := PluginConfinement(&settings, pin)
		program.Spec = confine.Spec{} // CheckPolicy checks the tenant's part
		if err := program.Validate(); err != nil {
			errs = append(errs, fmt.Errorf("%s: plugin %q: %w", pin.Where, pin.ID, err))
		}
	}
	return errs
}
