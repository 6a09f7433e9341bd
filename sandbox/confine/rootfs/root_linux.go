package rootfs

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Empty replaces the root of the process, in its own mount namespace, by an empty read-only file system.
func Empty() error {
	if err := privateMounts(); err != nil {
		return err
	}
	if err := enterNewRoot("mode=0755,size=4k,nr_inodes=4"); err != nil {
		return err
	}
	return pivot()
}

// privateMounts prevents that mounts from now on propagate to other namespaces.
func privateMounts() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making the mounts private: %w", err)
	}
	return nil
}

// enterNewRoot mounts an empty file system and makes it the current directory. options are mount options of tmpfs.
func enterNewRoot(options string) error {
	path, err := mountEmpty(options)
	if err != nil {
		return err
	}
	if err := unix.Chdir(path); err != nil {
		return fmt.Errorf("entering the new root: %w", err)
	}
	return mountProc()
}

// pivot makes the current directory the root, and makes it read-only.
func pivot() error {
	// With the same directory twice, the old root is mounted on top of the new one and can be unmounted at once, so
	// that it needs no mount point.
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("changing the root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("leaving the old root: %w", err)
	}
	if err := unix.Chdir("/"); err != nil {
		return fmt.Errorf("entering the new root: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REMOUNT|unix.MS_BIND|emptyFlags|unix.MS_RDONLY, ""); err != nil {
		return fmt.Errorf("making the new root read-only: %w", err)
	}
	return nil
}

const emptyFlags = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC

// mountEmpty mounts the new root on a directory that exists on almost every system.
func mountEmpty(options string) (path string, err error) {
	for _, path := range []string{"/tmp", "/proc", "/dev", "/usr", "/etc"} {
		if err = unix.Mount("hearth", path, "tmpfs", emptyFlags, options); err == nil {
			return path, nil
		}
		err = fmt.Errorf("mounting a tmpfs on %s: %w", path, err)
		if !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.ENOTDIR) {
			break
		}
	}
	return "", err
}
