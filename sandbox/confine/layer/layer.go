// Package layer names the isolation layers of a confined process and holds their states.
package layer

import (
	"fmt"
	"slices"
	"strings"
)

// Names of the layers in policies and reports.
const (
	// UID is a dedicated uid and gid, without supplementary groups. If the Spec has no uid, workers of a root host
	// share the uid 65534. Workers of any other host have the host's uid, in a user namespace.
	UID = "uid"
	// Namespaces are new mount, pid, net, ipc and uts namespaces, with an empty read-only root. Without root rights,
	// there is also a user namespace.
	Namespaces = "namespaces"
	// NoNewPrivs is no_new_privs, no capabilities, and no way to regain any.
	NoNewPrivs = "no-new-privs"
	// Seccomp is a filter that allows the system calls of a Go program with one socket.
	Seccomp = "seccomp"
	// Landlock forbids files and TCP. If the kernel supports it, it also forbids UDP, signals and abstract sockets to
	// processes outside.
	Landlock = "landlock"
	// Rlimits limits memory, processes and descriptors, and forbids core files, locked memory and writing to files.
	Rlimits = "rlimits"
	// Cgroup limits memory, processes and processor time by a control group, if the Spec has such limits.
	Cgroup = "cgroup"
	// Dumpable is PR_SET_DUMPABLE 0: other processes of the same uid cannot inspect the process.
	Dumpable = "dumpable"
	// ParentDeath ends the worker when its host ends in any way.
	ParentDeath = "parent-death"
)

// Names returns the names of all layers in the order in which they are applied.
func Names() []string {
	return []string{ParentDeath, Cgroup, Namespaces, UID, NoNewPrivs, Rlimits, Dumpable, Landlock, Seccomp}
}

// Layer is the state of one layer.
type Layer struct {
	Name     string
	Holds    bool
	Required bool   // required by the Spec
	How      string // description of the layer, or of the failed attempt
	Reason   string // reason for Holds being false
	Remedy   string // advice for the operator
}

// String formats the layer for a log or a report.
func (l Layer) String() string {
	switch {
	case l.Holds:
		return l.Name + ": holds (" + l.How + ")"
	case !l.Required:
		return l.Name + ": not required (" + l.How + ")"
	default:
		return l.Name + ": does not hold: " + l.Reason
	}
}

// Error is the error for a worker that was not started, or was ended again, because layers of its Spec are
// missing.
type Error struct {
	Layers []Layer // missing layers, at least one
}

// Error lists the missing layers with reasons and advice.
func (r *Error) Error() string {
	var b strings.Builder
	b.WriteString("the worker cannot be confined")
	for _, l := range r.Layers {
		fmt.Fprintf(&b, "; %s: %s", l.Name, l.Reason)
		if l.Remedy != "" {
			fmt.Fprintf(&b, " (%s)", l.Remedy)
		}
	}
	fmt.Fprintf(&b, "; or name the missing layers in allow_missing of the tenant")
	return b.String()
}

// Check returns an *Error if a required layer is missing and allowMissing does not name it. A layer without a report is
// missing.
func Check(layers []Layer, allowMissing []string) error {
	var missing []Layer
	for _, name := range Names() {
		i := slices.IndexFunc(layers, func(l Layer) bool { return l.Name == name })
		if i < 0 {
			layers = append(layers, Layer{Name: name, Required: true, Reason: "the worker did not report it"})
			i = len(layers) - 1
		}
		if l := layers[i]; l.Required && !l.Holds && !slices.Contains(allowMissing, name) {
			missing = append(missing, l)
		}
	}
	if missing == nil {
		return nil
	}
	// A worker stops at the first missing layer. The others were not tried.
	if tried := slices.DeleteFunc(slices.Clone(missing), func(l Layer) bool { return l.How == "" }); len(tried) > 0 {
		missing = tried
	}
	return &Error{Layers: missing}
}

// Missing returns the state of a required layer that does not hold. how describes the attempt; remedy may be empty.
func Missing(name, how, remedy string, err error) Layer {
	return Layer{
		Name:     name,
		Required: true,
		How:      how,
		Reason:   err.Error(),
		Remedy:   remedy,
	}
}

// Held returns the state of a required layer that holds.
func Held(name, how string) Layer { return Layer{Name: name, Required: true, Holds: true, How: how} }
