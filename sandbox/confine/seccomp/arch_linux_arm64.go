package seccomp

import "golang.org/x/sys/unix"

// nativeArch is the only set of system calls that the filter knows: the others that the
// machine has are refused.
const nativeArch = unix.AUDIT_ARCH_AARCH64
