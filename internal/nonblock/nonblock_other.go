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

// Long does nothing: the scheduler sees these system calls.
func Long() {}

// number returns the error number of an error.
func number(err error) syscall.Errno {
	if err == nil {
		return 0
	}
	if e, ok := err.(syscall.Errno); ok { //nolint:errorlint // these calls return no wrapped errors
		return e
	}
	return syscall.EIO
}

// Yield lets other goroutines run.
func Yield() { runtime.Gosched() }
