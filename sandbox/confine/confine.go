// Package confine puts the operating system's walls around a tenant's worker process.
//
// The host calls [Start], the worker calls [Enter] before it reads a byte of what a
// tenant sent. A wall is a [Layer] with a name. The host starts what it can enforce: a
// layer that the kernel or the missing root cannot give ends the worker with a
// [*Refused], unless [Spec.AllowMissing] names it.
//
// In order:
//
//  1. Start clones the process into namespaces of its own, puts it into its cgroup and
//     sends it the Spec over a control socket (descriptor 4).
//  2. Enter closes descriptors that are not its own, exchanges its root for an empty one,
//     takes its uid, drops all capabilities, sets limits, no_new_privs, Landlock and, last,
//     the system call filter. What is true of one thread only is done on all of them.
//  3. Enter reports every layer and closes the control socket. Start reads the report,
//     and kills a worker that lacks a layer.
//
// For a plugin, which is a program of somebody else's, [StartProgram] and [Become] do the
// same, and Become then executes it.
//
// What it leaves to others: what a script may do inside the process (package sandbox),
// what crosses the socket (package link), which Spec a tenant gets (the policy).
package confine

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// The names of the layers, as they stand in a policy and in reports.
const (
	// UID is a uid and gid of the worker's own, without supplementary groups. Without an
	// own uid in the Spec, a host that is root gives its workers the uid of nobody, which
	// they share; another host's workers have the host's uid, in a user namespace.
	UID = "uid"
	// Namespaces are mount, pid, net, ipc and uts namespaces, with an empty read-only root;
	// for a host that is not root a user namespace as well.
	Namespaces = "namespaces"
	// NoNewPrivs is no_new_privs, no capabilities, and none that could come back.
	NoNewPrivs = "no-new-privs"
	// Seccomp is a filter of the system calls that a Go program with one socket needs.
	Seccomp = "seccomp"
	// Landlock forbids files, TCP, and where the kernel has it UDP, and signals and abstract
	// sockets to the outside.
	Landlock = "landlock"
	// Rlimits bounds memory, processes and descriptors, and forbids core files, locked
	// memory and writing to files.
	Rlimits = "rlimits"
	// Cgroup bounds memory, processes and processor time by a control group, if the Spec
	// wants any of these.
	Cgroup = "cgroup"
	// Dumpable is PR_SET_DUMPABLE 0: nobody of the same uid may look into the process.
	Dumpable = "dumpable"
	// ParentDeath ends the worker with its host, however the host ends.
	ParentDeath = "parent-death"
)

// Names returns the names of all layers in the order in which they are put on.
func Names() []string {
	return []string{ParentDeath, Cgroup, Namespaces, UID, NoNewPrivs, Rlimits, Dumpable, Landlock, Seccomp}
}

// Spec says how a worker is confined. The zero value asks for every layer, no uid of the
// worker's own and no control group.
type Spec struct {
	// UID and GID are the worker's own, 1 to 2^32-2; both 0 means none. Only a host that is
	// root can give them.
	UID, GID uint32
	// MemoryBytes bounds the worker's memory: the control group's, and with it private
	// writable memory by RLIMIT_DATA, which counts holes and is a quarter larger. 0 means DefaultMemoryBytes, by
	// RLIMIT_DATA alone.
	MemoryBytes int64
	// Pids bounds threads and processes of the control group; 0 means no such limit.
	Pids int
	// CPUs bounds processor time of the control group, in processors, for example 0.5;
	// 0 means no such limit.
	CPUs float64
	// AllowMissing names the layers that may be missing.
	AllowMissing []string
}

// DefaultMemoryBytes is the hard limit of a worker's memory without one of its own.
const DefaultMemoryBytes = 512 << 20

// minMemoryBytes is less than which no Go program can start.
const minMemoryBytes = 16 << 20

// Validate returns every problem of s.
func (s Spec) Validate() error {
	var errs []error
	if (s.UID == 0) != (s.GID == 0) {
		errs = append(errs, errors.New("a worker's own uid and gid need each other, and neither may be 0"))
	}
	if s.UID == ^uint32(0) || s.GID == ^uint32(0) {
		errs = append(errs, errors.New("4294967295 is no uid or gid"))
	}
	if s.MemoryBytes != 0 && s.MemoryBytes < minMemoryBytes {
		errs = append(errs, fmt.Errorf("a worker needs %d bytes of memory at least, not %d", minMemoryBytes, s.MemoryBytes))
	}
	if s.Pids != 0 && s.Pids < 16 {
		errs = append(errs, fmt.Errorf("a worker needs 16 threads at least, not %d", s.Pids))
	}
	if s.CPUs != 0 && !(s.CPUs >= 0.01 && s.CPUs <= 1024) {
		errs = append(errs, fmt.Errorf("%v is no number of processors from 0.01 to 1024", s.CPUs))
	}
	for _, name := range s.AllowMissing {
		if !slices.Contains(Names(), name) {
			errs = append(errs, fmt.Errorf("no layer is called %q: there are %s", name, strings.Join(Names(), ", ")))
		}
	}
	return errors.Join(errs...)
}

// Memory returns the hard limit of the worker's memory, in bytes.
func (s Spec) Memory() int64 {
	if s.MemoryBytes == 0 {
		return DefaultMemoryBytes
	}
	return s.MemoryBytes
}

// grouped reports whether s wants a control group.
func (s Spec) grouped() bool { return s.MemoryBytes != 0 || s.Pids != 0 || s.CPUs != 0 }

func (s Spec) allowsMissing(name string) bool { return slices.Contains(s.AllowMissing, name) }

// Layer is what became of one layer.
type Layer struct {
	Name   string
	Holds  bool
	Asked  bool   // false: the Spec does not want it, so that it is missed by nobody
	How    string // what was done, or tried, to know
	Reason string // why it does not hold
	Remedy string // what to do about it
}

func (l Layer) String() string {
	switch {
	case l.Holds:
		return l.Name + ": holds (" + l.How + ")"
	case !l.Asked:
		return l.Name + ": not asked for (" + l.How + ")"
	default:
		return l.Name + ": does not hold: " + l.Reason
	}
}

// Refused is the error for a worker that was not started, or ended again, because layers
// of its Spec do not hold.
type Refused struct {
	Layers []Layer // those that are missing, at least one
}

func (r *Refused) Error() string {
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

// check returns a *Refused if a layer is missing that spec does not allow to be missing. A layer that
// was not reported is missing.
func check(spec Spec, layers []Layer) error {
	var missing []Layer
	for _, name := range Names() {
		i := slices.IndexFunc(layers, func(l Layer) bool { return l.Name == name })
		if i < 0 {
			layers = append(layers, Layer{Name: name, Asked: true, Reason: "the worker did not report it"})
			i = len(layers) - 1
		}
		if l := layers[i]; l.Asked && !l.Holds && !spec.allowsMissing(name) {
			missing = append(missing, l)
		}
	}
	if missing == nil {
		return nil
	}
	// A worker stops at the first layer that is missing: the others were not tried.
	if tried := slices.DeleteFunc(slices.Clone(missing), func(l Layer) bool { return l.How == "" }); len(tried) > 0 {
		missing = tried
	}
	return &Refused{Layers: missing}
}

func missing(name, how, remedy string, err error) Layer {
	return Layer{Name: name, Asked: true, How: how, Reason: err.Error(), Remedy: remedy}
}

func holds(name, how string) Layer { return Layer{Name: name, Asked: true, Holds: true, How: how} }
