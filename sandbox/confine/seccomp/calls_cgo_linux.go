//go:build cgo

package seccomp

import "golang.org/x/sys/unix"

// moreCalls are the system calls of a C library's threads and of the race detector.
var moreCalls = []uint32{
	unix.SYS_MPROTECT, unix.SYS_RSEQ, unix.SYS_SET_ROBUST_LIST, unix.SYS_SET_TID_ADDRESS,
	unix.SYS_SCHED_GETAFFINITY, unix.SYS_SCHED_SETAFFINITY, unix.SYS_MINCORE, unix.SYS_GETTIMEOFDAY,
}

// threadFlags are the clone flags for threads of the Go runtime and of the C library.
var threadFlags = []uint64{goThread, unix.CLONE_VM | unix.CLONE_FS | unix.CLONE_FILES | unix.CLONE_SIGHAND |
	unix.CLONE_THREAD |
	unix.CLONE_SYSVSEM | unix.CLONE_SETTLS | unix.CLONE_PARENT_SETTID | unix.CLONE_CHILD_CLEARTID}
