//go:build !cgo

package seccomp

// moreCalls are the system calls of a C library's threads: there is none.
var moreCalls []uint32

// threadFlags are the flags with which this program starts a thread: the Go runtime's.
var threadFlags = []uint64{goThread}
