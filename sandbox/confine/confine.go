// Package confine runs a tenant's worker process or plugin program inside the isolation layers of the operating system.
//
// The host calls [Start]. The worker calls [Enter] before it reads any data of a tenant. A [Layer] is one isolation
// layer, identified by name. If the kernel or the rights of the host do not allow a layer, the worker is ended with a
// [*LayerError] error, unless [Spec.AllowMissing] names the layer. The order is:
//
//  1. Start clones the process into new namespaces, moves it into its control group and
//     sends it the Spec over a control socket (descriptor 4).
//  2. Enter closes inherited descriptors, replaces the root by an empty one, switches the
//     uid, drops all capabilities, sets limits, no_new_privs, Landlock and, last, the
//     system call filter. Properties of a thread are set on all threads.
//  3. Enter reports every layer and closes the control socket. Start reads the report,
//     and kills a worker that lacks a layer.
//
// [StartProgram] and [ExecConfined] do the same for a plugin, which is an arbitrary program. ExecConfined then executes
// it.
//
// The mechanisms are packages: rootfs (the root), capability (credentials of threads), fileaccess (Landlock), seccomp
// (the system call filter), controlgroup (limits) and executable (the file of a plugin).
//
// Other packages limit scripts inside the process (sandbox), define the messages on the socket (link), and choose the
// Spec of a tenant (policy).
package confine

import (
	"errors"
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

// Spec configures the confinement of a worker. The zero value requires every layer, without a dedicated uid and without
// a control group.
type Spec struct {
	// UID and GID are dedicated ids, 1 to 2^32-2; both 0 means none. Only a root host can set them.
	UID, GID uint32
	// MemoryBytes is the memory limit of the control group. RLIMIT_DATA also limits private writable memory; that limit
	// counts holes and is a quarter larger. 0 means DefaultMemoryBytes, by RLIMIT_DATA alone.
	MemoryBytes int64
	// Pids limits threads and processes of the control group; 0 means unlimited.
	Pids int
	// CPUs limits processor time of the control group, in processors, for example 0.5; 0 means unlimited.
	CPUs float64
	// AllowMissing names the layers that may be missing.
	AllowMissing []string
}

// DefaultMemoryBytes is the hard memory limit of a worker without MemoryBytes.
const DefaultMemoryBytes = 512 << 20

// minMemoryBytes is the minimum with which a Go program can start.
const minMemoryBytes = 16 << 20

// Validate returns all problems of s.
func (s Spec) Validate() error {
	var errs []error
	if (s.UID == 0) != (s.GID == 0) {
		errs = append(errs, errors.New("set uid and gid together, and neither to 0"))
	}
	if s.UID == ^uint32(0) || s.GID == ^uint32(0) {
		errs = append(errs, errors.New("4294967295 is not a valid uid or gid"))
	}
	if s.MemoryBytes != 0 && s.MemoryBytes < minMemoryBytes {
		errs = append(errs, fmt.Errorf("a worker needs %d bytes of memory at least, not %d", minMemoryBytes,
			s.MemoryBytes))
	}
	if s.Pids != 0 && s.Pids < 16 {
		errs = append(errs, fmt.Errorf("a worker needs 16 threads at least, not %d", s.Pids))
	}
	if s.CPUs != 0 && !(s.CPUs >= 0.01 && s.CPUs <= 1024) {
		errs = append(errs, fmt.Errorf("%v is not a number of processors from 0.01 to 1024", s.CPUs))
	}
	for _, name := range s.AllowMissing {
		if !slices.Contains(Names(), name) {
			errs = append(errs, fmt.Errorf("unknown layer %q; the layers are %s", name, strings.Join(Names(), ", ")))
		}
	}
	return errors.Join(errs...)
}

// Memory returns the hard memory limit in bytes.
func (s Spec) Memory() int64 {
	if s.MemoryBytes == 0 {
		return DefaultMemoryBytes
	}
	return s.MemoryBytes
}

// grouped reports whether s requires a control group.
func (s Spec) grouped() bool { return s.MemoryBytes != 0 || s.Pids != 0 || s.CPUs != 0 }

func (s Spec) allowsMissing(name string) bool { return slices.Contains(s.AllowMissing, name) }

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

// LayerError is the error for a worker that was not started, or was ended again, because layers of its Spec are
// missing.
type LayerError struct {
	Layers []Layer // missing layers, at least one
}

// Error lists the missing layers with reasons and advice.
func (r *LayerError) Error() string {
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

// check returns a *LayerError if a layer is missing that spec requires. A layer without a report is missing.
func check(spec Spec, layers []Layer) error {
	var missing []Layer
	for _, name := range Names() {
		i := slices.IndexFunc(layers, func(l Layer) bool { return l.Name == name })
		if i < 0 {
			layers = append(layers, Layer{Name: name, Required: true, Reason: "the worker did not report it"})
			i = len(layers) - 1
		}
		if l := layers[i]; l.Required && !l.Holds && !spec.allowsMissing(name) {
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
	return &LayerError{Layers: missing}
}

func missing(name, how, remedy string, err error) Layer {
	return Layer{
		Name:     name,
		Required: true,
		How:      how,
		Reason:   err.Error(),
		Remedy:   remedy,
	}
}

func holds(name, how string) Layer { return Layer{Name: name, Required: true, Holds: true, How: how} }
