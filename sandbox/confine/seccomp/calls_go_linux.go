//go:build !cgo

package seccomp

// moreCalls are the system calls of a C library's threads. This binary has no C library.
var moreCalls []uint32

// threadFlags are the clone flags for threads of the Go runtime.
var threadFlags = []uint64{goThread}
