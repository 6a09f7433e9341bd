package main

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// setName sets the name of the process in lists of processes, which is otherwise the number of a descriptor.
func setName() {
	name := [...]byte{'h', 'e', 'a', 'r', 't', 'h', '-', 'w', 'o', 'r', 'k', 'e', 'r', 0}
	_ = unix.Prctl(unix.PR_SET_NAME, uintptr(unsafe.Pointer(&name)), 0, 0, 0) // only a name
}
