// Package confine runs a tenant's worker process or plugin program inside the isolation layers of the operating system.
//
// The host calls [Start]. The worker calls [Enter] before it reads any data of a tenant. Package layer has the
// isolation layers by name. If the kernel or the rights of the host do not allow a layer, the worker is ended with a
// [*layer.Error] error, unless [Spec.AllowMissing] names the layer. The order is:
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
// The mechanisms are packages: namespace (cloning a process), rootfs (the root), capability (credentials of threads),
// fileaccess (Landlock), seccomp (the system call filter), controlgroup (limits) and executable (the file of a plugin).
//
// Other packages limit scripts inside the process (sandbox), define the messages on the socket (link), and choose the
// Spec of a tenant (policy).
package confine

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hearthhost/hearth/sandbox/confine/layer"
)

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
		if !slices.Contains(layer.Names(), name) {
			errs = append(errs, fmt.Errorf("unknown layer %q; the layers are %s", name,
				strings.Join(layer.Names(), ", ")))
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
