//go:build !cgo

package seccomp

import "golang.org/x/sys/unix"

// moreCalls are the system calls of a C library's threads. This binary has no C library.
var moreCalls []uint32

// threadFlags are the clone flags for threads of the Go runtime. On amd64 it adds the flag for thread-local storage.
var threadFlags = []uint64{goThread, goThread | unix.CLONE_SETTLS}
