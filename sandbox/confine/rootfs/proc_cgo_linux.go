//go:build cgo

package rootfs

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// mountProc mounts the process's /proc in the new root, which is the current directory. With a C library in the binary,
// as under the race detector, system calls on all threads find the threads there. Landlock and the filter deny access
// to it. The released binary has no C code and no /proc.
func mountProc() error {
	if err := os.Mkdir("proc", 0o555); err != nil { //nolint:gosec // in a root that no other process sees
		return fmt.Errorf("making the new root's proc: %w", err)
	}
	if err := unix.Mount("proc", "proc", "proc", emptyFlags, ""); err != nil {
		return fmt.Errorf("mounting the new root's proc, which a binary built with cgo needs (build with "+
			"CGO_ENABLED=0): %w", err)
	}
	return nil
}
