//go:build !cgo

package rootfs

// mountProc does nothing: without C, the Go runtime makes system calls on all threads.
func mountProc() error { return nil }
