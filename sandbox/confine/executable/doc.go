// Package executable prepares the file that a confined process is about to execute.
//
// A file that begins with "#!" is a script: the package finds its interpreter as the kernel does, also behind env, and
// makes an unreadable copy of it in memory. Other processes of the same user could inspect a process whose file is
// readable. Any other file is executed as it is.
//
// The package does not execute the file. It works on Linux only.
package executable
