//go:build !linux

package transport

// checkProtocol rejects sockets that are not plain TCP; this system has no others.
func checkProtocol(int) error { return nil }
