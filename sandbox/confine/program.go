package confine

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// Program says how a program that somebody else wrote is confined: by the layers of its
// Spec, each as far as a program that knows nothing of them can bear it. The zero value is
// right for one that is linked statically: it sees an empty root with a folder for its
// sockets, runs no other program and makes no process.
type Program struct {
	Spec
	// Runtime are files and folders that the program may read and whose content may become
	// part of it: its interpreter, its libraries. Absolute and clean; none within another.
	Runtime []string
	// Files are further files and folders that it may read, and no more.
	Files []string
	// TmpBytes is the size of a /tmp of its own, which is in memory; 0 is none.
	TmpBytes int64
	// Fork lets it make processes, all of which end with it.
	Fork bool
	// Dir is where its sockets are if it has no root of its own, which only a Spec that
	// weakens Namespaces allows.
	Dir string
	// DirVariable is the variable by which it hears where its sockets have to be.
	DirVariable string
}

// Sockets is the folder for sockets in a program's own root.
const Sockets = "/sockets"

// defaultProgramPids bounds threads and processes of a program where nothing else does.
const defaultProgramPids = 256

// maxTmpBytes is the largest /tmp that a program can have.
const maxTmpBytes = 16 << 30

// Validate returns every problem of p.
func (p *Program) Validate() error {
	errs := []error{p.Spec.Validate()}
	all := slices.Concat(p.Runtime, p.Files)
	for i, path := range all {
		if err := CheckPath(path); err != nil {
			errs = append(errs, err)
		}
		for j, other := range all {
			if i != j && (path == other && i < j || strings.HasPrefix(path, other+"/")) {
				errs = append(errs, fmt.Errorf("%s lies in %s, which a program sees already: leave one of them out", path, other))
			}
		}
	}
	if p.TmpBytes < 0 || p.TmpBytes > maxTmpBytes {
		errs = append(errs, fmt.Errorf("%d is no size of a /tmp: from 1 to %d bytes", p.TmpBytes, int64(maxTmpBytes)))
	}
	return errors.Join(errs...)
}

// CheckPath returns why a path cannot be shown to a program, nil if it can.
func CheckPath(path string) error {
	if !filepath.IsAbs(path) || filepath.Clean(path) != path {
		return fmt.Errorf("%q is no absolute path without detours", path)
	}
	for _, never := range []string{"/proc", "/sys", "/dev", Sockets, "/tmp"} {
		if path == never || strings.HasPrefix(path, never+"/") && never != "/tmp" {
			return fmt.Errorf("%s is nothing that a confined program can be shown", path)
		}
	}
	if path == "/" {
		return errors.New("/ is everything: name the folders that the program needs")
	}
	return nil
}

// ProgramError is the error for a program that its confinement holds, and that cannot be
// executed.
type ProgramError struct {
	Errno syscall.Errno // 0: see Text
	Text  string
}

func (e *ProgramError) Error() string {
	if e.Text != "" {
		return e.Text
	}
	return "executing the program: " + e.Errno.Error()
}
