package confine

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// Program configures the confinement of an arbitrary program: the layers of its Spec, adapted to programs that do not
// cooperate. The zero value suits a statically linked program. It sees an empty root with a folder for its sockets,
// executes no other program and makes no process.
type Program struct {
	Spec
	// Runtime are files and folders that the program may read and map as code, such as its interpreter and libraries.
	// Paths are absolute and clean, and none is inside another.
	Runtime []string
	// Files are further files and folders that it may only read.
	Files []string
	// TmpBytes is the size of a private /tmp in memory; 0 means none.
	TmpBytes int64
	// Fork allows child processes, all of which end with the program.
	Fork bool
	// Dir is the folder for its sockets if it has no root. Only a Spec that allows Namespaces to be missing permits
	// that.
	Dir string
	// DirVariable is the environment variable with the folder for sockets.
	DirVariable string
}

// Sockets is the folder for sockets in a program's root.
const Sockets = "/sockets"

// defaultProgramPids limits threads and processes of a program without another limit.
const defaultProgramPids = 256

// maxTmpBytes is the maximum of TmpBytes.
const maxTmpBytes = 16 << 30

// Validate returns all problems of p.
func (p *Program) Validate() error {
	errs := []error{p.Spec.Validate()}
	all := slices.Concat(p.Runtime, p.Files)
	for i, path := range all {
		if err := CheckPath(path); err != nil {
			errs = append(errs, err)
		}
		for j, other := range all {
			if i != j && (path == other && i < j || strings.HasPrefix(path, other+"/")) {
				errs = append(errs, fmt.Errorf("%s is inside %s, which the program sees already; remove one of them",
					path, other))
			}
		}
	}
	if p.TmpBytes < 0 || p.TmpBytes > maxTmpBytes {
		errs = append(errs, fmt.Errorf("%d is not a size of /tmp; use 1 to %d bytes", p.TmpBytes, int64(maxTmpBytes)))
	}
	return errors.Join(errs...)
}

// CheckPath returns an error if a path cannot be shown to a program.
func CheckPath(path string) error {
	if !filepath.IsAbs(path) || filepath.Clean(path) != path {
		return fmt.Errorf("%q is not a clean absolute path", path)
	}
	for _, never := range []string{"/proc", "/sys", "/dev", Sockets, "/tmp"} {
		if path == never || strings.HasPrefix(path, never+"/") && never != "/tmp" {
			return fmt.Errorf("%s cannot be shown to a confined program", path)
		}
	}
	if path == "/" {
		return errors.New("/ is everything: name the folders that the program needs")
	}
	return nil
}

// ProgramError is the error for a program that is confined but cannot be executed.
type ProgramError struct {
	Errno syscall.Errno // 0 if only Text is known
	Text  string
}

// Error returns the reason.
func (e *ProgramError) Error() string {
	if e.Text != "" {
		return e.Text
	}
	return "executing the program: " + e.Errno.Error()
}
