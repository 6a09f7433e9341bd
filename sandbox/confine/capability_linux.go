package confine

import (
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// emptyCapabilities gives up what every thread may do and may hand on.
func emptyCapabilities() error {
	hdr := &unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	none := &[2]unix.CapUserData{}
	err := onAllThreads(unix.SYS_CAPSET, uintptr(unsafe.Pointer(hdr)), uintptr(unsafe.Pointer(none)), 0) //nolint:gosec // both are kept alive below
	runtime.KeepAlive(hdr)
	runtime.KeepAlive(none)
	return err
}
