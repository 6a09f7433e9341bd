//go:build !linux

package main

import "os"

// privileged reports whether the process has more rights than its parent.
func privileged() bool { return os.Geteuid() != os.Getuid() || os.Getegid() != os.Getgid() }
