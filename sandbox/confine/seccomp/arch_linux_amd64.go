package seccomp

import "golang.org/x/sys/unix"

// nativeArch is the only system call interface that a filter accepts. Other interfaces of the machine are rejected.
const nativeArch = unix.AUDIT_ARCH_X86_64
