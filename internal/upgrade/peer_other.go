//go:build !linux

package upgrade

import "errors"

// Supported is nil where a process can be upgraded.
var Supported = errors.New("only a host on Linux can be upgraded in place; stop it and start it again")

func checkParent(int) error { return Supported }

// monotonic returns a placeholder: there is no service manager that reads it.
func monotonic() string { return "MONOTONIC_USEC=0" }
