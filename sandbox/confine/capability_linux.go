package confine

import (
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// emptyCapabilities removes all capabilities of the calling thread, and of its future children.
func emptyCapabilities() error {
	hdr := &unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	none := &[2]unix.CapUserData{}
	err := onAllThreads(unix.SYS_CAPSET,
		uintptr(unsafe.Pointer(hdr)),     //nolint:gosec // kept alive below
		uintptr(unsafe.Pointer(none)), 0) //nolint:gosec // kept alive below
	runtime.KeepAlive(hdr)
	runtime.KeepAlive(none)
	return err
}
