//go:build !linux

package main

import "errors"

// canUpgrade is nil where one host can take the place of another.
var canUpgrade = errors.New("a host can be upgraded in place on Linux only: stop it and start it")

func proveParent(int) error { return canUpgrade }

// monotonic is for service managers that there are not.
func monotonic() string { return "MONOTONIC_USEC=0" }
