package capability

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
	"kernel.org/pub/linux/libs/security/libcap/psx"
)

// OnAllThreads makes a system call on every thread of the process. The Go runtime has started several, and the kernel
// confines each thread separately.
func OnAllThreads(call, a, b, c uintptr) error {
	if _, _, errno := psx.Syscall6(call, a, b, c, 0, 0, 0); errno != 0 {
		return errno
	}
	return nil
}

// neededCaps are the capabilities that a worker uses while it confines itself, if the host is root. The host has
// removed all others from the worker's bounding set before its first instruction.
var neededCaps = []uintptr{unix.CAP_SYS_ADMIN, unix.CAP_SETUID, unix.CAP_SETGID, unix.CAP_SETPCAP}

// KeepNeeded removes all capabilities except neededCaps from the bounding set of the calling thread, and so of its
// future children.
func KeepNeeded() error {
	for c := range uintptr(64) {
		if slices.Contains(neededCaps, c) {
			continue
		}
		err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0)
		if errors.Is(err, unix.EINVAL) {
			return nil // beyond the last capability
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// DropNeeded removes neededCaps from the bounding set.
func DropNeeded() error {
	for _, c := range neededCaps {
		if err := OnAllThreads(unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, c, 0); err != nil {
			return err
		}
	}
	return nil
}

// DropAll sets no_new_privs, and removes all capabilities of all threads permanently. In a user namespace the bounding
// set remains full: it limits only capabilities that execve adds, and no_new_privs prevents those. Emptying it on all
// threads would take longer than all other steps.
func DropAll() error {
	if err := OnAllThreads(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0); err != nil {
		return err
	}
	if err := OnAllThreads(unix.SYS_PRCTL, unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0); err != nil {
		return err
	}
	if err := emptyCapabilities(); err != nil {
		return err
	}
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var left [2]unix.CapUserData
	if err := unix.Capget(&hdr, &left[0]); err != nil || left != [2]unix.CapUserData{} {
		return fmt.Errorf("capabilities %x are left (%w)", left, err)
	}
	return nil
}

// emptyCapabilities removes all capabilities of the calling thread, and of its future children.
func emptyCapabilities() error {
	hdr := &unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	none := &[2]unix.CapUserData{}
	err := OnAllThreads(unix.SYS_CAPSET,
		uintptr(unsafe.Pointer(hdr)),     //nolint:gosec // kept alive below
		uintptr(unsafe.Pointer(none)), 0) //nolint:gosec // kept alive below
	runtime.KeepAlive(hdr)
	runtime.KeepAlive(none)
	return err
}

// Privileged reports whether this process is root and may make namespaces and change uids.
func Privileged() bool {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if os.Geteuid() != 0 || unix.Capget(&hdr, &data[0]) != nil {
		return false
	}
	const need = 1<<unix.CAP_SYS_ADMIN | 1<<unix.CAP_SETUID | 1<<unix.CAP_SETGID | 1<<unix.CAP_SETPCAP
	return data[0].Effective&need == need
}
