// Package doctor checks on this machine the isolation layers that the tenants of a policy require.
//
// [Examine] starts a real worker process for each tenant, and the process of each plugin, as the host would run them
// now as the same user. Each process reports which layers of the operating system hold. [OfFile] makes a finding of a
// fault in a file, and [Print] prints both kinds with remedies. The package starts no host and runs no script.
package doctor

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"

	"github.com/hearthhost/hearth/host/backend"
	"github.com/hearthhost/hearth/host/fault"
	"github.com/hearthhost/hearth/internal/cli"
	"github.com/hearthhost/hearth/internal/cli/display"
	"github.com/hearthhost/hearth/internal/cli/refusal"
	"github.com/hearthhost/hearth/object"
	"github.com/hearthhost/hearth/policy"
	"github.com/hearthhost/hearth/sandbox/confine"
	"github.com/hearthhost/hearth/sandbox/confine/layer"
)

// Finding is the result for one isolation layer of a tenant's worker or plugin, or a fault of a file.
type Finding struct {
	Tenant object.Tenant `json:"tenant"`           // "" for the host
	Plugin string        `json:"plugin,omitempty"` // of the tenant; "" for its worker
	Layer  string        `json:"layer"`            // filesLayer for a fault of a file
	Path   string        `json:"path,omitempty"`   // of the file
	// Status is "holds", "missing" (the host rejects the tenant), "allowed" (missing, and the policy permits that)
	// or "unasked" (the policy does not require it). For a file it is "wrong" (the host rejects it) or "note".
	Status string `json:"status"`
	How    string `json:"how,omitempty"` // the mechanism, or the attempt
	Reason string `json:"reason,omitempty"`
	Remedy string `json:"remedy,omitempty"`
}

// filesLayer is the layer of findings about files.
const filesLayer = "files"

// Examine checks the isolation layers of every tenant. worker and shim are the command lines of the two kinds of
// process.
func Examine(p *policy.Policy, worker, shim []string) ([]Finding, error) {
	tenants := p.Tenants
	if p.AllTenants {
		tenants = []object.Tenant{"*"}
	}
	out := []Finding{}
	for _, name := range tenants {
		settings := p.Tenant(name)
		spec := backend.Confinement(&settings)
		layers, err := confine.Probe(worker, spec)
		if err != nil {
			return nil, fmt.Errorf("tenant %s: %w", name, err)
		}
		for _, l := range layers {
			out = append(out, diagnose(Finding{Tenant: name}, spec, l))
		}
		for i := range p.Pins {
			pin := &p.Pins[i]
			switch {
			case pin.ID.Tenant() != name:
				continue
			case pin.Unconfined:
				out = append(out, Finding{Tenant: name, Plugin: pin.ID.Name(), Layer: "all", Status: "allowed",
					Reason: fmt.Sprintf("unconfined = true at %s: it has all rights of the host's user",
						pin.Where)})
				continue
			}
			program := backend.PluginConfinement(&settings, pin)
			layers, err := confine.ProbeProgram(shim, program)
			if err != nil {
				return nil, fmt.Errorf("plugin %s: %w", pin.ID, err)
			}
			for _, l := range layers {
				out = append(out, diagnose(Finding{Tenant: name, Plugin: pin.ID.Name()}, program.EffectiveSpec(), l))
			}
		}
	}
	return out, nil
}

// diagnose fills in f for a layer of a tenant's worker or plugin.
func diagnose(f Finding, spec confine.Spec, l layer.Layer) Finding {
	f.Layer, f.How, f.Reason, f.Remedy = l.Name, l.How, l.Reason, l.Remedy
	required := l.Required
	if l.Name == layer.Cgroup { // a probe always tries it
		required = spec.MemoryBytes != 0 || spec.Pids != 0 || spec.CPUs != 0
	}
	switch {
	case l.Holds:
		f.Status, f.Reason, f.Remedy = "holds", "", ""
	case !required:
		f.Status = "unasked"
	case slices.Contains(spec.AllowMissing, l.Name):
		f.Status = "allowed"
	default:
		f.Status = "missing"
	}
	return f
}

// OfFile returns the finding for a fault of a file.
func OfFile(r fault.Refusal) Finding {
	f := Finding{Tenant: r.ID.Tenant(), Layer: filesLayer, Path: r.Path, Status: "wrong", Reason: r.Err}
	if r.Note {
		f.Status = "note"
	}
	return f
}

// Print prints the findings as a table or as JSON. It returns [cli.ExitFailed] if the host would reject a tenant or a
// file.
func Print(w io.Writer, findings []Finding, asJSON bool) error {
	bad, wrong := 0, 0
	for _, f := range findings {
		switch f.Status {
		case "missing":
			bad++
		case "wrong":
			wrong++
		}
	}
	if asJSON {
		if err := display.JSON(w, findings); err != nil {
			return err
		}
	} else {
		tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		for _, f := range findings {
			why := f.How
			if f.Reason != "" {
				why = f.Reason
			}
			if f.Remedy != "" {
				why += "; " + f.Remedy
			}
			if f.Layer == filesLayer {
				why = refusal.Line(fault.Refusal{Err: f.Reason}, f.Path)
			}
			who := cmp.Or(string(f.Tenant), "(host)")
			if f.Plugin != "" {
				who += "." + f.Plugin
			}
			fmt.Fprintf(tw, "%s\t%s\t%s\t%s\n", who, f.Layer, f.Status, why)
		}
		if err := tw.Flush(); err != nil {
			return err
		}
		if bad > 0 {
			fmt.Fprintf(w, "%s missing: the host rejects these tenants and plugins "+
				"unless allow_missing in the policy names the layers\n", display.Plural(bad, "layer"))
		}
		if wrong > 0 {
			fmt.Fprintf(w, "%s of files: hearth serve --check lists only them\n", display.Plural(wrong, "fault"))
		}
	}
	if bad+wrong > 0 {
		return cli.ExitFailed
	}
	return nil
}
