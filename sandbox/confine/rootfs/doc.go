// Package rootfs replaces the root file system of a process that has its own mount namespace.
//
// A worker gets an empty root, and a plugin program one with the files that the policy lists. Both are read-only. After
// an error the root is incomplete, and the process must end.
package rootfs
