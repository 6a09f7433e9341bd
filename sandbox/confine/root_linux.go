package confine

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// enterEmptyRoot replaces the root by an empty read-only file system.
func enterEmptyRoot() Layer {
	const how = "user (where the host is not root), mount, pid, net, ipc and uts; the root is an empty read-only tmpfs"
	if os.Getpid() != 1 {
		return missing(Namespaces, how, namespaceRemedy(), fmt.Errorf("the process is number %d of its pid "+
			"namespace, not the first", os.Getpid()))
	}
	if err := exchangeRoot(); err != nil {
		remedy := namespaceRemedy()
		if errors.Is(err, unix.EINVAL) {
			remedy = "the host's root is not a mount point, as in a chroot; run the host outside the chroot"
		}
		return missing(Namespaces, how, remedy, err)
	}
	return holds(Namespaces, how)
}

func exchangeRoot() error {
	// Mounts from now on must not propagate to other namespaces.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making the mounts private: %w", err)
	}
	at, err := mountEmpty("mode=0755,size=4k,nr_inodes=4")
	if err != nil {
		return err
	}
	if err := unix.Chdir(at); err != nil {
		return fmt.Errorf("entering the new root: %w", err)
	}
	if err := mountProc(); err != nil {
		return err
	}
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
func mountEmpty(options string) (at string, err error) {
	for _, at := range []string{"/tmp", "/proc", "/dev", "/usr", "/etc"} {
		if err = unix.Mount("hearth", at, "tmpfs", emptyFlags, options); err == nil {
			return at, nil
		}
		err = fmt.Errorf("mounting a tmpfs on %s: %w", at, err)
		if !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.ENOTDIR) {
			break
		}
	}
	return "", err
}
