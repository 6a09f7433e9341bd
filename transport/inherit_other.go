//go:build !linux

package transport

// checkProtocol refuses what is not plain TCP, where there is anything else.
func checkProtocol(int) error { return nil }
