//go:build linux && !race

package nonblock

import (
	"syscall"
	"unsafe"
)

func read(fd uintptr, p []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall(syscall.SYS_READ, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p))) //nolint:gosec // p is alive and len(p) long
	return int(n), errno
}

func write(fd uintptr, p []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall(syscall.SYS_WRITE, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p))) //nolint:gosec // p is alive and len(p) long
	return int(n), errno
}

// Yield lets other threads of the machine have this one's processor.
func Yield() { _, _, _ = syscall.RawSyscall(syscall.SYS_SCHED_YIELD, 0, 0, 0) }

// Long is called by who has waited for a descriptor and now runs for long on the only
// processor. While all is idle, the runtime's monitor sleeps too, for up to a minute:
// without it no timer fires and nobody is preempted. What wakes it is a system call that the
// scheduler sees, and those of this package are none.
func Long() { _, _, _ = syscall.Syscall(syscall.SYS_GETPID, 0, 0, 0) }
