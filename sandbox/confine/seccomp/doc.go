// Package seccomp builds and installs the system call filters of workers and of plugin programs.
//
// A filter cannot read memory that an argument points to. Every call that a filter allows is safe for any such memory.
package seccomp
