//go:build !linux

package process

import "os"

// Privileged reports whether the process has more rights than its parent.
func Privileged() bool { return os.Geteuid() != os.Getuid() || os.Getegid() != os.Getgid() }
