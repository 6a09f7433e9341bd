// Package capability removes capabilities from all threads of the calling process.
//
// The kernel keeps capabilities and other credentials for each thread, and the Go runtime has started several before
// main. OnAllThreads makes one system call on each of them. KeepNeeded is for the host, in the thread that clones a
// worker. DropNeeded and DropAll are for the worker: after DropAll the process has no capability, and cannot regain
// one.
//
// It works on Linux only.
package capability
