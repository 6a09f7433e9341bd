// Package memfile makes sealed executable files in memory, which child processes execute without any file system.
package memfile
