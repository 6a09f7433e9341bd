package seccomp

import "golang.org/x/sys/unix"

// fstatat is the call's number, whose constant has another name on each architecture.
const fstatat = unix.SYS_NEWFSTATAT

// legacyCalls are calls that newer architectures lack.
var legacyCalls = []uint32{unix.SYS_RENAMEAT}

// forkCalls are predecessors of clone.
var forkCalls []uint32
