//go:build !linux

package account

// look tells nothing: what a process took is known when it has ended.
func look(int) (reading, bool) { return reading{}, false }
