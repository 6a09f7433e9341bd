// Package fileaccess restricts the files that the calling process can reach, by Landlock.
//
// [Restrict] makes a domain that denies everything except its rules. It applies to all threads, cannot be removed, and
// also denies TCP, UDP, signals and abstract sockets to processes outside, as far as the kernel supports that. It then
// tries to open the root, and returns an error if that succeeds. Descriptors that are already open remain usable.
//
// It works on Linux only.
package fileaccess
