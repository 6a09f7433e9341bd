//go:build !linux

package main

import "os"

// privileged reports whether the process has more rights than whoever started it.
func privileged() bool { return os.Geteuid() != os.Getuid() || os.Getegid() != os.Getgid() }
