// Package memfile makes sealed executable files in memory, which child processes execute without any file system.
//
// A child process executes such a file by the path of its descriptor, which it does not inherit: see [Above].
package memfile
