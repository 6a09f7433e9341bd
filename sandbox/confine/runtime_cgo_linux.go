//go:build cgo

package confine

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// furnish mounts the process's own /proc in the new root, the current directory: with a C
// library in the program, as under the race detector, the threads on which to make a
// system call are found there. It stays, and Landlock and the filter keep it shut; the
// released binary has no C in it and needs none of this.
func furnish() error {
	if err := os.Mkdir("proc", 0o555); err != nil { //nolint:gosec // in a root that nobody else sees
		return fmt.Errorf("making the new root's proc: %w", err)
	}
	if err := unix.Mount("proc", "proc", "proc", emptyFlags, ""); err != nil {
		return fmt.Errorf("mounting the new root's proc, which a binary built with cgo needs (build with CGO_ENABLED=0): %w", err)
	}
	return nil
}
