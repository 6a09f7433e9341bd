//go:build !linux || race

package nonblock

import (
	"runtime"
	"syscall"
)

func read(fd uintptr, p []byte) (int, syscall.Errno) {
	n, err := syscall.Read(int(fd), p)
	return n, number(err)
}

func write(fd uintptr, p []byte) (int, syscall.Errno) {
	n, err := syscall.Write(int(fd), p)
	return n, number(err)
}

// Long has nothing to do: the scheduler sees these system calls.
func Long() {}

// number returns the system's error number.
func number(err error) syscall.Errno {
	if err == nil {
		return 0
	}
	if e, ok := err.(syscall.Errno); ok { //nolint:errorlint // a bare one is all that these calls return
		return e
	}
	return syscall.EIO
}

// Yield lets other goroutines run.
func Yield() { runtime.Gosched() }
