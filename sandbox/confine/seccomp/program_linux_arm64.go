package seccomp

import "golang.org/x/sys/unix"

// fstatat is the number of the call that each machine names differently.
const fstatat = unix.SYS_NEWFSTATAT

// ancientCalls are those that newer machines have left out.
var ancientCalls = []uint32{unix.SYS_RENAMEAT}

// forkCalls are clone's elders.
var forkCalls []uint32
