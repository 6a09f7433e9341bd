//go:build linux && !race

package nonblock

import (
	"syscall"
	"unsafe"
)

func read(fd uintptr, p []byte) (int, syscall.Errno) { return rawCall(syscall.SYS_READ, fd, p) }

func write(fd uintptr, p []byte) (int, syscall.Errno) { return rawCall(syscall.SYS_WRITE, fd, p) }

// rawCall makes a system call with a descriptor and a buffer.
func rawCall(number, fd uintptr, p []byte) (int, syscall.Errno) {
	data := unsafe.Pointer(unsafe.SliceData(p)) //nolint:gosec // p has len(p) bytes
	n, _, errno := syscall.RawSyscall(number, fd, uintptr(data), uintptr(len(p)))
	return int(n), errno
}

// Yield gives the processor of this thread to another thread of the machine.
func Yield() { _, _, _ = syscall.RawSyscall(syscall.SYS_SCHED_YIELD, 0, 0, 0) }

// Long wakes the runtime's monitor. Call it after a wait for a descriptor and before a long computation on the only
// processor. In an idle process the monitor sleeps too, for up to a minute, and without it no timer fires and no
// goroutine is preempted. It is woken by a system call that the scheduler sees, unlike those of this package.
func Long() { _, _, _ = syscall.Syscall(syscall.SYS_GETPID, 0, 0, 0) }
