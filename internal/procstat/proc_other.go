//go:build !linux

package procstat

// look tells nothing: what a process took is known when it has ended.
func look(int) (reading, bool) { return reading{}, false }
